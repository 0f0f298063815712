//! `#[door::service]`: turns a trait into a typed client and a typed server of a door. See the crate `door-service`.
#![forbid(unsafe_code)]

mod carry;
mod generate;
mod parse;

use proc_macro::TokenStream;

/// Makes a service of a trait: `trait Files` gives `FilesClient` and `FilesServer`.
///
/// Arguments, all optional: `version = N` (1 if not given), `name = "…"` (the trait's name), `descriptors` (arguments may carry
/// descriptors even though none of their types says so by its name).
///
/// The crate `door-service` has the whole story.
#[proc_macro_attribute]
pub fn service(arguments: TokenStream, item: TokenStream) -> TokenStream {
    parse::Service::parse(arguments.into(), item.into())
        .map_or_else(
            |error| error.into_compile_error(),
            |service| generate::generate(&service),
        )
        .into()
}
