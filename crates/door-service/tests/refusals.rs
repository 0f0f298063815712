//! What does not compile, and how that is said.

#[test]
fn wrong_signatures_are_refused_in_plain_words() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/refused/signatures.rs");
    cases.compile_fail("tests/refused/types.rs");
}
