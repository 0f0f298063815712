//! Writes the client and the server.

use proc_macro2::TokenStream;
use quote::{ToTokens, format_ident, quote};
use syn::{Attribute, Type};

use crate::carry;
use crate::parse::{Method, Parameter, Service};

pub(crate) fn generate(service: &Service) -> TokenStream {
    let the_trait = the_trait(service);
    let client = client(service);
    // Whoever has the feature has what this is written in terms of.
    let awaited = cfg!(feature = "tokio").then(|| awaited(service));
    let server = server(service);
    quote! {
        #the_trait
        #client
        #awaited
        #server
    }
}

/// The trait as its author wrote it, servable from several threads; and whoever shares an implementation has one.
fn the_trait(service: &Service) -> TokenStream {
    let mut item = service.item.clone();
    for bound in [
        quote!(::core::marker::Send),
        quote!(::core::marker::Sync),
        quote!('static),
    ] {
        item.supertraits
            .push(syn::parse2(bound).expect("a bound written here"));
    }
    item.colon_token.get_or_insert_default();
    let name = &item.ident;
    let forwards = service.methods.iter().map(|method| {
        let signature = &method.item.sig;
        let method_name = &signature.ident;
        let names = signature.inputs.iter().skip(1).filter_map(|input| match input {
            syn::FnArg::Typed(typed) => Some(&typed.pat),
            syn::FnArg::Receiver(_) => None,
        });
        quote!(#signature { (**self).#method_name(#(#names),*) })
    });
    quote! {
        #item

        impl<T: #name + ?Sized> #name for ::std::sync::Arc<T> {
            #(#forwards)*
        }
    }
}

fn docs(attributes: &[Attribute]) -> impl Iterator<Item = &Attribute> {
    attributes
        .iter()
        .filter(|attribute| attribute.path().is_ident("doc"))
}

fn identity(service: &Service) -> TokenStream {
    let (name, version) = (&service.name, service.version);
    quote!(::door_service::Identity::new(#name, #version))
}

fn client(service: &Service) -> TokenStream {
    let (visibility, name) = (&service.item.vis, &service.item.ident);
    let client = format_ident!("{name}Client");
    let summary = format!("A client of [`{name}`]. It can be sent in a message: it travels as a descriptor.");
    let identity = identity(service);
    let methods = service
        .methods
        .iter()
        .map(|method| client_method(method, visibility));
    quote! {
        #[doc = #summary]
        #[derive(Clone, Debug)]
        #visibility struct #client(::door_service::__private::Stub);

        #[allow(dead_code, reason = "a program may need only some of them")]
        impl #client {
            /// Which service this is.
            #visibility const IDENTITY: ::door_service::Identity = #identity;

            /// A client of the service attached at `path`.
            ///
            /// # Errors
            /// Those of opening a door.
            #visibility fn at(path: impl ::core::convert::AsRef<::std::path::Path>) -> ::std::io::Result<Self> {
                ::door_service::__private::DoorHandle::open(path).map(Self::over)
            }

            /// A client of the service behind a door.
            #[must_use]
            #visibility fn over(door: ::door_service::__private::DoorHandle) -> Self {
                Self(::door_service::__private::Stub::over(door, Self::IDENTITY))
            }

            /// The same client, whose calls are given up after `patience`.
            #[must_use]
            #visibility fn within(&self, patience: ::core::time::Duration) -> Self {
                Self(self.0.within(patience))
            }

            /// The same client, which takes no reply of more than `bytes`.
            #[must_use]
            #visibility fn max_reply_bytes(&self, bytes: usize) -> Self {
                Self(self.0.max_reply_bytes(bytes))
            }

            /// The door behind it.
            #[must_use]
            #visibility fn door(&self) -> &::door_service::__private::DoorHandle {
                self.0.door()
            }

            #(#methods)*
        }

        impl ::door_service::__private::serde::Serialize for #client {
            fn serialize<S>(&self, serializer: S) -> ::core::result::Result<S::Ok, S::Error>
            where
                S: ::door_service::__private::serde::Serializer,
            {
                self.0.send(serializer)
            }
        }

        impl<'de> ::door_service::__private::serde::Deserialize<'de> for #client {
            fn deserialize<D>(deserializer: D) -> ::core::result::Result<Self, D::Error>
            where
                D: ::door_service::__private::serde::Deserializer<'de>,
            {
                ::door_service::__private::Stub::receive(deserializer, Self::IDENTITY).map(Self)
            }
        }
    }
}

/// The client whose methods are futures.
fn awaited(service: &Service) -> TokenStream {
    let (visibility, name) = (&service.item.vis, &service.item.ident);
    let (client, awaited) = (format_ident!("{name}Client"), format_ident!("{name}Awaited"));
    let summary = format!("A client of [`{name}`] whose calls are awaited: see [`{client}::awaited`].");
    let methods = service
        .methods
        .iter()
        .map(|method| awaited_method(method, visibility));
    quote! {
        #[allow(dead_code, reason = "a program may need only the other one")]
        impl #client {
            /// The same client with methods that do not block: each gives a future, which makes the call when it is polled, and gives it up
            /// when it is dropped.
            #[must_use]
            #visibility fn awaited(&self) -> #awaited {
                #awaited(self.0.clone())
            }
        }

        #[doc = #summary]
        #[derive(Clone, Debug)]
        #[allow(dead_code, reason = "a program may need only the other one")]
        #visibility struct #awaited(::door_service::__private::Stub);

        #[allow(dead_code, reason = "a program may need only some of them")]
        impl #awaited {
            #(#methods)*
        }
    }
}

/// What the methods of both clients have in common: what stands before the name, the parameters, and the values that are sent.
struct Outgoing {
    heading: TokenStream,
    parameters: TokenStream,
    values: TokenStream,
    wire: TokenStream,
    result: TokenStream,
    output: TokenStream,
}

impl Outgoing {
    fn of(method: &Method) -> Self {
        let (docs, attributes) = (docs(&method.item.attrs), other_attributes(&method.item.attrs));
        let output = &method.output;
        let sent = method.parameters.iter().filter_map(|parameter| match parameter {
            Parameter::Context => None,
            Parameter::Sent(name, sent) => Some((name, sent)),
        });
        let (names, types): (Vec<_>, Vec<_>) = sent.unzip();
        let values = names
            .iter()
            .zip(&types)
            .map(|(name, sent)| outgoing(sent, &name.to_token_stream()));
        Self {
            heading: quote! {
                #(#docs)*
                ///
                /// # Errors
                /// The outer error is the transport's: see [`door_service::Error`](::door_service::Error).
                #(#attributes)*
            },
            parameters: quote!(#(#names: #types),*),
            values: quote!(&(#(#values,)*)),
            wire: carry::wire_type(output),
            result: carry::convert(output, &quote!(result), false),
            output: quote!(::core::result::Result<#output, ::door_service::Error>),
        }
    }
}

fn client_method(method: &Method, visibility: &syn::Visibility) -> TokenStream {
    let (name, number) = (&method.item.sig.ident, method.number);
    let Outgoing {
        heading,
        parameters,
        values,
        wire,
        result,
        output,
    } = Outgoing::of(method);
    quote! {
        #heading
        #visibility fn #name(&self, #parameters) -> #output {
            let result: #wire = self.0.call(#number, #values)?;
            ::core::result::Result::Ok(#result)
        }
    }
}

fn awaited_method(method: &Method, visibility: &syn::Visibility) -> TokenStream {
    let (name, number) = (&method.item.sig.ident, method.number);
    let Outgoing {
        heading,
        parameters,
        values,
        wire,
        result,
        output,
    } = Outgoing::of(method);
    quote! {
        #heading
        #visibility fn #name(
            &self,
            #parameters
        ) -> impl ::core::future::Future<Output = #output> + ::core::marker::Send + use<> {
            let call = self.0.prepare(#number, #values);
            async move {
                let result: #wire = call.call().await?;
                ::core::result::Result::Ok(#result)
            }
        }
    }
}

/// `cfg`, `deprecated` and the like hold for the client's method, too.
fn other_attributes(attributes: &[Attribute]) -> impl Iterator<Item = &Attribute> {
    attributes
        .iter()
        .filter(|attribute| attribute.path().is_ident("cfg") || attribute.path().is_ident("deprecated"))
}

/// What the client encodes for a parameter.
fn outgoing(sent: &Type, value: &TokenStream) -> TokenStream {
    if carry::is_borrowed_fd(sent) {
        return quote!(::door_service::__private::Lent(#value));
    }
    match sent {
        Type::Reference(reference) if is_bytes(&reference.elem) => {
            quote!(::door_service::__private::ByteSlice(#value))
        }
        Type::Reference(_) => value.clone(),
        _ => carry::convert(sent, value, true),
    }
}

fn is_bytes(of: &Type) -> bool {
    matches!(of, Type::Slice(slice) if carry::last_ident(&slice.elem).is_some_and(|element| element == "u8"))
}

fn server(service: &Service) -> TokenStream {
    let (visibility, name) = (&service.item.vis, &service.item.ident);
    let (client, server) = (format_ident!("{name}Client"), format_ident!("{name}Server"));
    let summary = format!("Serves an implementation of [`{name}`] to callers of a door.");
    let descriptors = service.descriptors;
    let arms = service.methods.iter().map(server_arm);
    quote! {
        #[doc = #summary]
        #[derive(Debug)]
        #visibility struct #server<T>(T);

        #[allow(dead_code, reason = "a program may need only some of them")]
        impl<T: #name> #server<T> {
            /// A server that answers with `service`.
            #visibility fn new(service: T) -> Self {
                Self(service)
            }

            /// Makes the door: arguments of at most 1 MiB, and at most 64 descriptors if the service takes any.
            ///
            /// # Errors
            /// Those of making a door.
            #visibility fn create(self) -> ::std::io::Result<::door_service::__private::Door> {
                ::door_service::create(self)
            }

            /// Makes the door as `builder` says.
            ///
            /// # Errors
            /// Those of making a door.
            #visibility fn create_with(
                self,
                builder: ::door_service::__private::Builder,
            ) -> ::std::io::Result<::door_service::__private::Door> {
                ::door_service::create_with(self, builder)
            }
        }

        impl<T: #name> ::door_service::Serve for #server<T> {
            const IDENTITY: ::door_service::Identity = #client::IDENTITY;
            const TAKES_DESCRIPTORS: bool = #descriptors;

            fn dispatch(
                &self,
                request: ::door_service::Request<'_>,
                context: &::door_service::Context<'_>,
            ) -> ::door_service::Served {
                let _ = context;
                match request.method() {
                    #(#arms)*
                    _ => request.unknown_method(),
                }
            }
        }
    }
}

fn server_arm(method: &Method) -> TokenStream {
    let (name, number) = (&method.item.sig.ident, method.number);
    let attributes =
        other_attributes(&method.item.attrs).filter(|attribute| attribute.path().is_ident("cfg"));
    let (mut names, mut wires, mut values) = (Vec::new(), Vec::new(), Vec::new());
    for parameter in &method.parameters {
        match parameter {
            Parameter::Context => values.push(quote!(context)),
            Parameter::Sent(name, sent) => {
                names.push(name);
                let (wire, value) = incoming(sent, &name.to_token_stream());
                wires.push(wire);
                values.push(value);
            }
        }
    }
    let answer = carry::convert(&method.output, &quote!(result), true);
    quote! {
        #(#attributes)*
        #number => {
            let (request, (#(#names,)*)) = request.parameters::<(#(#wires,)*)>()?;
            let result = self.0.#name(#(#values),*);
            request.answer(&#answer)
        }
    }
}

/// What the server decodes for a parameter, and what it hands to the method.
fn incoming(sent: &Type, value: &TokenStream) -> (TokenStream, TokenStream) {
    if carry::is_borrowed_fd(sent) {
        return (
            quote!(::door_service::__private::Fd),
            quote!(::std::os::fd::AsFd::as_fd(&#value)),
        );
    }
    let Type::Reference(reference) = sent else {
        return (carry::wire_type(sent), carry::convert(sent, value, false));
    };
    let referred = &*reference.elem;
    let named = |name: &str| carry::last_ident(referred).is_some_and(|ident| ident == name);
    let wire = match referred {
        // These two are used where they arrived.
        _ if named("str") || is_bytes(referred) => return (quote!(&#referred), value.clone()),
        Type::Slice(slice) => {
            let element = &slice.elem;
            quote!(::std::vec::Vec<#element>)
        }
        _ if named("Path") => quote!(::std::path::PathBuf),
        _ => quote!(#referred),
    };
    (wire, quote!(&#value))
}
