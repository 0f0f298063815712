use super::*;

/// Opcode and the bytes that carry each field, from the figures of RFC 7143 §11, checked against the lists.
macro_rules! round_trip {
    ($($type:ty => $opcode:literal, byte1 $byte1:literal, places $($place:expr),+;)*) => {$({
        assert_eq!(<$type>::OPCODE, $opcode);
        // Every bit set survives exactly where the standard has a field.
        let all = <$type>::decode(&[0xFF; 48]).encode();
        let mut expected = [0u8; 48];
        expected[0] = $opcode | (all[0] & 0x40);
        expected[1] = $byte1;
        $( expected[$place].fill(0xFF); )+
        assert_eq!(all, expected, stringify!($type));
        assert_eq!(<$type>::decode(&all).encode(), all);
        // No two fields overlap: a header of one bit comes back as it was or without the bit.
        for bit in 0..48 * 8 {
            let mut one = [0u8; 48];
            one[bit / 8] = 0x80 >> (bit % 8);
            let back = <$type>::decode(&one).encode();
            for (at, (&was, &is)) in one.iter().zip(&back).enumerate().skip(2) {
                assert_eq!(is, was & expected[at], "{} byte {at}", stringify!($type));
            }
        }
    })*};
}

#[test]
fn every_header_has_its_fields_where_the_standard_has_them() {
    round_trip! {
        NopOut => 0x00, byte1 0x80, places 8..32;
        ScsiCommand => 0x01, byte1 0xE7, places 8..48;
        TaskManagementRequest => 0x02, byte1 0xFF, places 8..40;
        LoginRequest => 0x03, byte1 0xCF, places 2..4, 8..22, 24..32;
        TextRequest => 0x04, byte1 0xC0, places 8..32;
        DataOut => 0x05, byte1 0x80, places 8..24, 28..32, 36..44;
        LogoutRequest => 0x06, byte1 0xFF, places 16..22, 24..32;
        Snack => 0x10, byte1 0x8F, places 8..24, 28..32, 40..48;
        NopIn => 0x20, byte1 0x80, places 8..36;
        ScsiResponse => 0x21, byte1 0x86, places 2..4, 16..48;
        TaskManagementResponse => 0x22, byte1 0x80, places 2..3, 16..20, 24..36;
        LoginResponse => 0x23, byte1 0xCF, places 2..4, 8..20, 24..38;
        TextResponse => 0x24, byte1 0xC0, places 8..36;
        DataIn => 0x25, byte1 0xC7, places 3..4, 8..48;
        LogoutResponse => 0x26, byte1 0x80, places 2..3, 16..20, 24..36, 40..44;
        ReadyToTransfer => 0x31, byte1 0x80, places 8..48;
        AsyncMessage => 0x32, byte1 0x80, places 8..20, 24..44;
        Reject => 0x3F, byte1 0x80, places 2..3, 16..20, 24..40;
    }
}

#[test]
fn lengths_are_read_as_they_are_written() {
    let mut raw = [0; 48];
    raw[4] = 3;
    set_data_length(&mut raw, 0x01_02_03);
    assert_eq!(lengths(&raw), (12, 0x01_02_03));
    assert_eq!(raw[4..8], [3, 1, 2, 3]);
}
