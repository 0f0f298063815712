//! Local time, which the standard library does not know.

use std::mem::MaybeUninit;

const DAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// Seconds since 1970 as ctime(3) writes them: `Mon Mar  2 10:11:12 2026`, local time.
pub(crate) fn local_time(seconds: u64) -> String {
    let Ok(time) = libc::time_t::try_from(seconds) else {
        return "-".to_owned();
    };
    let mut parts = MaybeUninit::<libc::tm>::zeroed();
    // SAFETY: both point at values that outlive the call.
    let filled = unsafe { libc::localtime_r(&raw const time, parts.as_mut_ptr()) };
    if filled.is_null() {
        return "-".to_owned();
    }
    // SAFETY: localtime_r has filled it, and all zeroes would be a value too.
    let parts = unsafe { parts.assume_init() };
    let name = |names: &[&'static str], index: i32| {
        usize::try_from(index)
            .ok()
            .and_then(|index| names.get(index).copied())
            .unwrap_or("-")
    };
    format!(
        "{} {} {:2} {:02}:{:02}:{:02} {}",
        name(&DAYS, parts.tm_wday),
        name(&MONTHS, parts.tm_mon),
        parts.tm_mday,
        parts.tm_hour,
        parts.tm_min,
        parts.tm_sec,
        i64::from(parts.tm_year) + 1900
    )
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_time_has_the_form_of_ctime() {
        let text = super::local_time(1_772_446_272);
        // The zone moves the hour and perhaps the day, never the minute of a whole hour nor the form.
        assert!(
            text.starts_with("Mon Mar  2 ")
                || text.starts_with("Sun Mar  1 ")
                || text.starts_with("Tue Mar  3 ")
        );
        assert!(text.ends_with(":12 2026"), "{text}");
        assert_eq!(text.len(), 24);
        assert_eq!(super::local_time(u64::MAX), "-");
    }
}
