//! What does not compile.

#[test]
fn what_an_invocation_lends_cannot_be_kept() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/refused/*.rs");
}
