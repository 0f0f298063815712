//! How types travel: most as serde says; descriptors, doors and byte vectors by a stand-in, looked for inside `Option`, `Result`, `Vec`,
//! `Box` and tuples.

use proc_macro2::{Ident, TokenStream, TokenTree};
use quote::{ToTokens, format_ident, quote};
use syn::{Error, GenericArgument, PathArguments, Result, Type};

/// How one type travels.
enum Form<'a> {
    /// As it is.
    Plain,
    /// As a type of ours.
    StandIn(TokenStream),
    Option(&'a Type),
    Result(&'a Type, &'a Type),
    Vec(&'a Type),
    Box(&'a Type),
    Tuple(Vec<&'a Type>),
}

/// The last part of a path.
pub(crate) fn last_ident(of: &Type) -> Option<&Ident> {
    match of {
        Type::Path(path) => path.path.segments.last().map(|segment| &segment.ident),
        _ => None,
    }
}

pub(crate) fn is_borrowed_fd(of: &Type) -> bool {
    last_ident(of).is_some_and(|ident| ident == "BorrowedFd")
}

/// A reference inside of a type, if there is one.
pub(crate) fn borrowed(of: &Type) -> Option<TokenStream> {
    match of {
        Type::Reference(reference) => Some(reference.to_token_stream()),
        Type::Path(_) => {
            if is_borrowed_fd(of) {
                return Some(of.to_token_stream());
            }
            generics(of).into_iter().find_map(borrowed)
        }
        Type::Tuple(tuple) => tuple.elems.iter().find_map(borrowed),
        Type::Array(array) => borrowed(&array.elem),
        Type::Slice(slice) => borrowed(&slice.elem),
        _ => None,
    }
}

/// True if a name in a type says that it is, or has, a descriptor.
pub(crate) fn mentions_descriptors(of: TokenStream) -> bool {
    of.into_iter().any(|token| match token {
        TokenTree::Group(group) => mentions_descriptors(group.stream()),
        TokenTree::Ident(ident) => {
            let name = ident.to_string();
            ["OwnedFd", "BorrowedFd", "DoorHandle", "Fd"].contains(&name.as_str()) || name.ends_with("Client")
        }
        TokenTree::Punct(_) | TokenTree::Literal(_) => false,
    })
}

/// Refuses descriptors in places nothing is known of.
pub(crate) fn check(of: &Type) -> Result<()> {
    match of {
        Type::ImplTrait(_) | Type::TraitObject(_) => {
            return Err(Error::new_spanned(of, "both sides must know the type: name it"));
        }
        _ => {}
    }
    match form(of) {
        Form::Plain => {
            let inside = generics(of).into_iter().find(|inner| {
                last_ident(inner).is_some_and(|name| name == "OwnedFd" || name == "DoorHandle")
            });
            match inside {
                Some(inner) => Err(Error::new_spanned(
                    inner,
                    "serde cannot carry this here: use `door_service::Fd`, or a client type, which travel as descriptors",
                )),
                None if last_ident(of).is_some_and(|name| name == "Result") && generics(of).len() == 1 => {
                    Err(Error::new_spanned(
                        of,
                        "name the error type, too: it travels, and has to be one that serde can carry",
                    ))
                }
                None => Ok(()),
            }
        }
        Form::StandIn(_) => Ok(()),
        Form::Option(inner) | Form::Vec(inner) | Form::Box(inner) => check(inner),
        Form::Result(good, bad) => check(good).and_then(|()| check(bad)),
        Form::Tuple(parts) => parts.into_iter().try_for_each(check),
    }
}

fn generics(of: &Type) -> Vec<&Type> {
    let Type::Path(path) = of else { return Vec::new() };
    let Some(segment) = path.path.segments.last() else {
        return Vec::new();
    };
    let PathArguments::AngleBracketed(arguments) = &segment.arguments else {
        return Vec::new();
    };
    let inner = arguments.args.iter().filter_map(|argument| match argument {
        GenericArgument::Type(inner) => Some(inner),
        _ => None,
    });
    inner.collect()
}

fn form(of: &Type) -> Form<'_> {
    if let Type::Tuple(tuple) = of {
        return Form::Tuple(tuple.elems.iter().collect());
    }
    let Some(name) = last_ident(of) else {
        return Form::Plain;
    };
    let stand_in = |name: &str| {
        let name = format_ident!("{name}");
        Form::StandIn(quote!(::door_service::__private::#name))
    };
    match (name.to_string().as_str(), generics(of).as_slice()) {
        ("OwnedFd" | "BorrowedFd", []) => stand_in("Fd"),
        ("DoorHandle", []) => stand_in("DoorFd"),
        ("Vec", [inner]) if last_ident(inner).is_some_and(|inner| inner == "u8") => stand_in("ByteBuf"),
        ("Option", [inner]) => Form::Option(inner),
        ("Vec", [inner]) => Form::Vec(inner),
        ("Box", [inner]) => Form::Box(inner),
        ("Result", [good, bad]) => Form::Result(good, bad),
        _ => Form::Plain,
    }
}

/// True if the type, or a part of it, travels as another one.
fn is_changed(of: &Type) -> bool {
    match form(of) {
        Form::Plain => false,
        Form::StandIn(_) => true,
        Form::Option(inner) | Form::Vec(inner) | Form::Box(inner) => is_changed(inner),
        Form::Result(good, bad) => is_changed(good) || is_changed(bad),
        Form::Tuple(parts) => parts.into_iter().any(is_changed),
    }
}

/// The type that travels.
pub(crate) fn wire_type(of: &Type) -> TokenStream {
    if !is_changed(of) {
        return of.to_token_stream();
    }
    match form(of) {
        Form::Plain => of.to_token_stream(),
        Form::StandIn(stand_in) => stand_in,
        Form::Option(inner) => {
            let inner = wire_type(inner);
            quote!(::core::option::Option<#inner>)
        }
        Form::Vec(inner) => {
            let inner = wire_type(inner);
            quote!(::std::vec::Vec<#inner>)
        }
        Form::Box(inner) => {
            let inner = wire_type(inner);
            quote!(::std::boxed::Box<#inner>)
        }
        Form::Result(good, bad) => {
            let (good, bad) = (wire_type(good), wire_type(bad));
            quote!(::core::result::Result<#good, #bad>)
        }
        Form::Tuple(parts) => {
            let parts = parts.into_iter().map(wire_type);
            quote!((#(#parts,)*))
        }
    }
}

/// An expression of the type that travels, from `value` (`into_wire`), or the way back.
pub(crate) fn convert(of: &Type, value: &TokenStream, into_wire: bool) -> TokenStream {
    if !is_changed(of) {
        return value.clone();
    }
    let inner_of = |inner: &Type| convert(inner, &quote!(part), into_wire);
    match form(of) {
        Form::Plain => value.clone(),
        Form::StandIn(stand_in) if into_wire => quote!(<#stand_in as ::core::convert::From<_>>::from(#value)),
        Form::StandIn(_) => quote!(::core::convert::Into::<#of>::into(#value)),
        Form::Option(inner) => {
            let inner = inner_of(inner);
            quote!(#value.map(|part| #inner))
        }
        Form::Vec(inner) => {
            let inner = inner_of(inner);
            quote!(#value.into_iter().map(|part| #inner).collect::<::std::vec::Vec<_>>())
        }
        Form::Box(inner) => {
            let inner = inner_of(inner);
            quote!({ let part = *#value; ::std::boxed::Box::new(#inner) })
        }
        Form::Result(good, bad) => {
            let (good, bad) = (inner_of(good), inner_of(bad));
            quote!(match #value {
                ::core::result::Result::Ok(part) => ::core::result::Result::Ok(#good),
                ::core::result::Result::Err(part) => ::core::result::Result::Err(#bad),
            })
        }
        Form::Tuple(parts) => {
            let names: Vec<Ident> = (0..parts.len())
                .map(|index| format_ident!("part_{index}"))
                .collect();
            let converted = parts
                .iter()
                .zip(&names)
                .map(|(part, name)| convert(part, &name.to_token_stream(), into_wire));
            quote!({ let (#(#names,)*) = #value; (#(#converted,)*) })
        }
    }
}
