//! Reads the trait, and says what is wrong with it in words its author understands.

use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::parse::Parser;
use syn::{
    Error, FnArg, Ident, ItemTrait, LitInt, LitStr, Pat, ReceiverKind, Result, ReturnType, Safety, TraitItem,
    TraitItemFn, Type, parse_quote,
};

use crate::carry;

/// Names a client has itself.
const RESERVED: [&str; 6] = ["at", "over", "within", "max_reply_bytes", "door", "awaited"];

/// The trait, understood.
pub(crate) struct Service {
    pub(crate) item: ItemTrait,
    pub(crate) name: String,
    pub(crate) version: u32,
    /// Requests may carry descriptors.
    pub(crate) descriptors: bool,
    pub(crate) methods: Vec<Method>,
}

/// One method.
pub(crate) struct Method {
    pub(crate) item: TraitItemFn,
    /// What stands for it on the wire.
    pub(crate) number: u32,
    pub(crate) parameters: Vec<Parameter>,
    pub(crate) output: Type,
}

/// One parameter after `&self`.
pub(crate) enum Parameter {
    /// `&Context<'_>`: not sent.
    Context,
    /// Anything else.
    Sent(Ident, Box<Type>),
}

#[derive(Default)]
struct Arguments {
    version: Option<u32>,
    name: Option<String>,
    descriptors: bool,
}

impl Service {
    pub(crate) fn parse(arguments: TokenStream, item: TokenStream) -> Result<Self> {
        let arguments = Arguments::parse(arguments)?;
        let item: ItemTrait = syn::parse2(item.clone()).map_err(|_| {
            Error::new_spanned(
                item,
                "`service` goes on a trait: its methods are what clients can call",
            )
        })?;
        if let Some(parameter) = item.generics.params.first() {
            return Err(Error::new_spanned(
                parameter,
                "a service cannot be generic: both sides must know the types",
            ));
        }
        let mut methods: Vec<Method> = Vec::new();
        for member in &item.items {
            let TraitItem::Fn(function) = member else {
                return Err(Error::new_spanned(member, "a service consists of methods only"));
            };
            let method = Method::parse(function)?;
            if let Some(other) = methods.iter().find(|other| other.number == method.number) {
                let message = format!(
                    "`{}` has the same number on the wire as `{}`; name one of them differently",
                    function.sig.ident, other.item.sig.ident
                );
                return Err(Error::new_spanned(&function.sig.ident, message));
            }
            methods.push(method);
        }
        let descriptors = arguments.descriptors
            || methods.iter().flat_map(|method| &method.parameters).any(|parameter| {
                matches!(parameter, Parameter::Sent(_, sent) if carry::mentions_descriptors(sent.to_token_stream()))
            });
        Ok(Self {
            name: arguments.name.unwrap_or_else(|| item.ident.to_string()),
            version: arguments.version.unwrap_or(1),
            descriptors,
            methods,
            item,
        })
    }
}

impl Arguments {
    fn parse(tokens: TokenStream) -> Result<Self> {
        let mut arguments = Self::default();
        let parser = syn::meta::parser(|meta| {
            if meta.path.is_ident("version") {
                arguments.version = Some(meta.value()?.parse::<LitInt>()?.base10_parse()?);
            } else if meta.path.is_ident("name") {
                arguments.name = Some(meta.value()?.parse::<LitStr>()?.value());
            } else if meta.path.is_ident("descriptors") {
                arguments.descriptors = true;
            } else {
                return Err(meta.error("expected `version = N`, `name = \"…\"` or `descriptors`"));
            }
            Ok(())
        });
        parser.parse2(tokens)?;
        Ok(arguments)
    }
}

impl Method {
    fn parse(item: &TraitItemFn) -> Result<Self> {
        let signature = &item.sig;
        if let Some(keyword) = &signature.asyncness {
            return Err(Error::new_spanned(
                keyword,
                "a door call is synchronous: write a plain `fn`",
            ));
        }
        if let Safety::Unsafe(keyword) = &signature.safety {
            return Err(Error::new_spanned(
                keyword,
                "a method of a service is a safe `fn`",
            ));
        }
        if let Some(parameter) = signature.generics.params.first() {
            return Err(Error::new_spanned(
                parameter,
                "a method of a service cannot be generic: both sides must know the types",
            ));
        }
        if RESERVED.contains(&signature.ident.to_string().as_str()) {
            let message = format!(
                "`{}` is a method every client has; choose another name",
                signature.ident
            );
            return Err(Error::new_spanned(&signature.ident, message));
        }
        let mut inputs = signature.inputs.iter();
        let by_reference = |input: &FnArg| matches!(input, FnArg::Receiver(receiver) if matches!(receiver.kind, ReceiverKind::Reference(_, _, None)));
        if !inputs.next().is_some_and(by_reference) {
            return Err(Error::new_spanned(
                signature,
                "the first parameter must be `&self`: calls run on several threads at once",
            ));
        }
        let parameters = inputs.map(Parameter::parse).collect::<Result<Vec<_>>>()?;
        let output = match &signature.output {
            ReturnType::Default => parse_quote!(()),
            ReturnType::Type(_, output) => (**output).clone(),
        };
        if let Some(borrowed) = carry::borrowed(&output) {
            return Err(Error::new_spanned(
                borrowed,
                "a result travels to another process: return an owned type",
            ));
        }
        carry::check(&output)?;
        let number = number(&signature.ident, &parameters, &output);
        Ok(Self {
            item: item.clone(),
            number,
            parameters,
            output,
        })
    }
}

impl Parameter {
    fn parse(input: &FnArg) -> Result<Self> {
        let FnArg::Typed(typed) = input else {
            return Err(Error::new_spanned(input, "`self` comes first"));
        };
        let Pat::Ident(name) = &*typed.pat else {
            return Err(Error::new_spanned(&typed.pat, "give the parameter a plain name"));
        };
        if let Type::Reference(reference) = &*typed.ty {
            if reference.mutability.is_some() {
                return Err(Error::new_spanned(
                    reference,
                    "the other process cannot change a parameter: return what changes",
                ));
            }
            if carry::last_ident(&reference.elem).is_some_and(|ident| ident == "Context") {
                return Ok(Self::Context);
            }
            if let Some(borrowed) = carry::borrowed(&reference.elem) {
                return Err(Error::new_spanned(
                    borrowed,
                    "one reference is enough: send what it refers to",
                ));
            }
        } else if !carry::is_borrowed_fd(&typed.ty)
            && let Some(borrowed) = carry::borrowed(&typed.ty)
        {
            return Err(Error::new_spanned(
                borrowed,
                "a reference can only be a parameter of its own, not a part of one",
            ));
        }
        carry::check(&typed.ty)?;
        Ok(Self::Sent(name.ident.clone(), typed.ty.clone()))
    }
}

/// FNV-1a over the method as it is written: its name and types, not the names of its parameters. So a method may move and its parameters
/// may be renamed, while one that takes or gives something else is another method.
fn number(name: &Ident, parameters: &[Parameter], output: &Type) -> u32 {
    let types: Vec<String> = parameters
        .iter()
        .filter_map(|parameter| match parameter {
            Parameter::Context => None,
            Parameter::Sent(_, sent) => Some(text(sent)),
        })
        .collect();
    let written = format!("{name}({})->{}", types.join(","), text(output));
    written.bytes().fold(0x811C_9DC5, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}

fn text(sent: &Type) -> String {
    sent.to_token_stream()
        .to_string()
        .chars()
        .filter(|character| !character.is_whitespace())
        .collect()
}
