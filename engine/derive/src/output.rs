//! Writes the implementations of `Value` and `Key`.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::{DeriveInput, Error, Ident, Result, Type};

use crate::input::{Field, Input, Shape, Variant};

/// Implements `Key`, and checks that every field is a key.
pub(crate) fn key(input: &Input) -> Result<TokenStream> {
    if let Some((_, older)) = input.older.first() {
        let text = "a key has no older versions: the store would not find their bytes";
        return Err(Error::new_spanned(older, text));
    }
    let ident = &input.ident;
    let codecs = input.fields().map(|field| &field.codec);
    Ok(quote! {
        #[automatically_derived]
        impl ::kvick::Key for #ident {}

        const _: () = {
            const fn is_eq<T: ::core::cmp::Eq>() {}
            is_eq::<#ident>();
            #(::kvick::codec::derived::is_key::<#codecs>();)*
        };
    })
}

/// Reports the error of a refused declaration, and implements `Key`. Without the implementation,
/// the uses of the type would report errors, too. A type with parameters gets none, since they may
/// lack bounds that it needs.
pub(crate) fn refused_key(input: &DeriveInput, error: &Error) -> TokenStream {
    let (error, ident) = (error.to_compile_error(), &input.ident);
    if !input.generics.params.is_empty() {
        return error;
    }
    quote! {
        #error

        #[automatically_derived]
        impl ::kvick::Key for #ident {}
    }
}

/// Reports the error of a refused declaration, and implements `Value` like [`refused_key`].
pub(crate) fn refused_value(input: &DeriveInput, error: &Error) -> TokenStream {
    let (error, ident) = (error.to_compile_error(), &input.ident);
    if !input.generics.params.is_empty() {
        return error;
    }
    let (types, result) = (associated_types(), quote!(::core::result::Result));
    quote! {
        #error

        #[automatically_derived]
        impl ::kvick::Value for #ident {
            #types
            const WIDTH: ::core::option::Option<usize> = ::core::option::Option::None;

            fn type_name() -> ::std::borrow::Cow<'static, str> {
                ::core::unreachable!()
            }

            fn encode(_: &Self) -> #result<::kvick::codec::Packed, ::kvick::codec::Error> {
                ::core::unreachable!()
            }

            fn view(_: &[u8]) -> #result<Self, ::kvick::codec::Error> {
                ::core::unreachable!()
            }

            fn decode(_: &[u8]) -> #result<Self, ::kvick::codec::Error> {
                ::core::unreachable!()
            }
        }
    }
}

/// Returns the associated types of every derived `Value`.
fn associated_types() -> TokenStream {
    quote! {
        type Item = Self;
        type Owned = Self;
        type View<'a> = Self;
        type Bytes<'a> = ::kvick::codec::Packed;
    }
}

/// Implements `Value`.
pub(crate) fn value(input: &Input) -> TokenStream {
    let Input { ident, name, .. } = input;
    let encoding = format!("derived {name}");
    let description = Description::of(input);
    let (fingerprint, accepted) = (description.written(), description.accepted(&input.older));
    let (width, encoded, decoded) = (width(input), encoded(input), decoded(input));
    let (conversions, members) = (conversions(input), members(input));
    let types = associated_types();
    quote! {
        #conversions
        #members

        #[automatically_derived]
        impl ::kvick::Value for #ident {
            #types
            const WIDTH: ::core::option::Option<usize> = #width;

            fn type_name() -> ::std::borrow::Cow<'static, str> {
                ::std::borrow::Cow::Borrowed(#encoding)
            }

            fn fingerprint() -> ::std::borrow::Cow<'static, str> {
                ::std::borrow::Cow::Owned(#fingerprint)
            }

            fn accept_fingerprint(stored: &str) -> ::core::option::Option<&str> {
                #accepted
            }

            fn encode(
                item: &Self,
            ) -> ::core::result::Result<::kvick::codec::Packed, ::kvick::codec::Error> {
                #encoded
            }

            fn view(bytes: &[u8]) -> ::core::result::Result<Self, ::kvick::codec::Error> {
                <Self as ::kvick::Value>::decode(bytes)
            }

            fn decode(bytes: &[u8]) -> ::core::result::Result<Self, ::kvick::codec::Error> {
                #decoded
            }
        }
    }
}

/// The text of a type: `account version 2 (owner: str, cents: u64)`.
struct Description<'a> {
    /// Texts, each before the fingerprint of a codec.
    pieces: Vec<(String, &'a Type)>,
    end: String,
}

impl<'a> Description<'a> {
    fn of(input: &'a Input) -> Self {
        let mut description = Self { pieces: Vec::new(), end: input.name.clone() };
        if let Some(version) = input.version {
            description.end += &format!(" version {version}");
        }
        description.end += " ";
        match &input.shape {
            Shape::Struct(fields) => description.add(fields),
            Shape::Enum(variants) => {
                for (number, variant) in variants.iter().enumerate() {
                    description.end += if number == 0 { "{" } else { ", " };
                    description.end += &format!("{} ", variant.name);
                    description.add(&variant.fields);
                }
                description.end += "}";
            }
        }
        description
    }

    fn add(&mut self, fields: &'a [Field]) {
        self.end += "(";
        for (number, field) in fields.iter().enumerate() {
            self.end += if number == 0 { "" } else { ", " };
            self.end += &format!("{}: ", field.name);
            self.pieces.push((std::mem::take(&mut self.end), &field.codec));
        }
        self.end += ")";
    }

    fn written(&self) -> TokenStream {
        let end = &self.end;
        let pieces = self
            .pieces
            .iter()
            .map(|(text, codec)| quote!(#text, &<#codec as ::kvick::Value>::fingerprint(),));
        quote!([#(#pieces)* #end].concat())
    }

    fn accepted(&self, older: &[(u8, Type)]) -> TokenStream {
        let end = &self.end;
        let pieces = self.pieces.iter().map(|(text, codec)| {
            quote! {
                let rest = rest.strip_prefix(#text)?;
                let rest = <#codec as ::kvick::Value>::accept_fingerprint(rest)?;
            }
        });
        let older = older.iter().map(|(_, older)| {
            quote!(.or_else(|| <#older as ::kvick::Value>::accept_fingerprint(stored)))
        });
        quote! {
            let own = |rest: &str| -> ::core::option::Option<usize> {
                #(#pieces)*
                rest.strip_prefix(#end).map(str::len)
            };
            own(stored).map(|left| &stored[stored.len() - left..])#(#older)*
        }
    }
}

fn width(input: &Input) -> TokenStream {
    match &input.shape {
        // A later version may have any length.
        _ if input.version.is_some() => quote!(::core::option::Option::None),
        Shape::Struct(fields) => {
            let codecs = fields.iter().map(|field| &field.codec);
            quote!(::kvick::codec::derived::width(&[#(<#codecs as ::kvick::Value>::WIDTH),*]))
        }
        Shape::Enum(variants) if variants.iter().all(|variant| variant.fields.is_empty()) => {
            quote!(::core::option::Option::Some(1))
        }
        Shape::Enum(_) => quote!(::core::option::Option::None),
    }
}

fn encoded(input: &Input) -> TokenStream {
    let version = input.version.map(|version| quote!(writer.tag(#version);));
    let members = match &input.shape {
        Shape::Struct(fields) => {
            let (pattern, written) = (pattern(fields), written(fields));
            quote! { let Self #pattern = item; #written }
        }
        Shape::Enum(variants) => {
            let arms = numbered(variants).map(|(tag, variant)| {
                let ident = &variant.ident;
                let (pattern, written) = (pattern(&variant.fields), written(&variant.fields));
                quote! { Self::#ident #pattern => { writer.tag(#tag); #written } }
            });
            quote! { match item { #(#arms)* } }
        }
    };
    quote! {
        let mut writer = ::kvick::codec::derived::Writer::new();
        #version
        #members
        ::core::result::Result::Ok(writer.finish())
    }
}

fn decoded(input: &Input) -> TokenStream {
    let name = &input.name;
    let version = input.version.map(|version| {
        let older = input.older.iter().map(|(version, older)| {
            quote! {
                #version => return <#older as ::kvick::Value>::decode(bytes)
                    .map(<Self as ::core::convert::From<#older>>::from),
            }
        });
        quote! {
            match reader.tag(#name)? {
                #version => {}
                #(#older)*
                other => return ::core::result::Result::Err(
                    ::kvick::codec::derived::unknown_version(#name, other),
                ),
            }
        }
    });
    let members = match &input.shape {
        Shape::Struct(fields) => read(&quote!(Self), name, fields),
        Shape::Enum(variants) => {
            let arms = numbered(variants).map(|(tag, variant)| {
                let ident = &variant.ident;
                let read = read(&quote!(Self::#ident), name, &variant.fields);
                quote!(#tag => { #read })
            });
            // All of 256 variants have a tag of their own.
            let other = (variants.len() < 256).then(|| {
                quote! {
                    other => ::core::result::Result::Err(
                        ::kvick::codec::derived::unknown_variant(#name, other),
                    ),
                }
            });
            quote! { match reader.tag(#name)? { #(#arms)* #other } }
        }
    };
    quote! {
        let mut reader = ::kvick::codec::derived::Reader::new(bytes);
        #version
        #members
    }
}

fn numbered(variants: &[Variant]) -> impl Iterator<Item = (u8, &Variant)> {
    (0..=u8::MAX).zip(variants)
}

/// Binds each field to a name of its number.
fn pattern(fields: &[Field]) -> TokenStream {
    let members = fields.iter().map(|field| &field.member);
    let names = names(fields);
    quote!({ #(#members: #names),* })
}

fn names(fields: &[Field]) -> impl Iterator<Item = Ident> {
    (0..fields.len()).map(|number| format_ident!("field{number}"))
}

fn written(fields: &[Field]) -> TokenStream {
    let each = fields.iter().zip(names(fields)).enumerate().map(|(number, (field, name))| {
        let codec = &field.codec;
        let method = method(number, fields);
        quote!(writer.#method::<#codec>(#name)?;)
    });
    quote!(#(#each)*)
}

/// Reads the fields of `path`, a struct or variant.
fn read(path: &TokenStream, name: &str, fields: &[Field]) -> TokenStream {
    if fields.is_empty() {
        return quote! {
            reader.end(#name)?;
            ::core::result::Result::Ok(#path {})
        };
    }
    let each = fields.iter().enumerate().map(|(number, field)| {
        let (member, codec) = (&field.member, &field.codec);
        let method = method(number, fields);
        quote!(#member: reader.#method::<#codec>()?)
    });
    quote!(::core::result::Result::Ok(#path { #(#each),* }))
}

fn method(number: usize, fields: &[Field]) -> Ident {
    format_ident!("{}", if number + 1 == fields.len() { "last" } else { "member" })
}

/// Checks the older types when the program is compiled.
fn conversions(input: &Input) -> TokenStream {
    let Input { ident, name, .. } = input;
    let version = input.version.unwrap_or(0);
    let checks = input.older.iter().map(|(version, older)| {
        quote!(const _: () = ::kvick::codec::derived::assert_older::<#ident, #older>(#version);)
    });
    quote! {
        #[automatically_derived]
        impl ::kvick::codec::derived::Derived for #ident {
            const NAME: &'static str = #name;
            const VERSION: u8 = #version;
        }
        #(#checks)*
    }
}

/// Lets `Encoded::of` take borrowed fields of a struct without a version.
fn members(input: &Input) -> TokenStream {
    let Shape::Struct(fields) = &input.shape else { return quote!() };
    if input.version.is_some() || !(2..=12).contains(&fields.len()) {
        return quote!();
    }
    let (ident, codecs) = (&input.ident, fields.iter().map(|field| &field.codec));
    let types: Vec<Ident> =
        (0..fields.len()).map(|number| format_ident!("Field{number}")).collect();
    let tuple = quote!((#(#codecs,)*));
    quote! {
        #[automatically_derived]
        impl<#(#types),*> ::kvick::codec::Members<#ident> for (#(#types,)*)
        where
            Self: ::kvick::codec::Members<#tuple>,
        {
            fn pack(
                &self,
            ) -> ::core::result::Result<::kvick::codec::Packed, ::kvick::codec::Error> {
                ::kvick::codec::Members::<#tuple>::pack(self)
            }
        }
    }
}
