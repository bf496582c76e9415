//! Reads the declaration of a type, and the attributes of kvick on it.

use syn::meta::ParseNestedMeta;
use syn::spanned::Spanned;
use syn::{
    Attribute, Data, DeriveInput, Error, Fields, Ident, LitInt, LitStr, Member, Result, Type,
    parenthesized,
};

/// A declared type.
pub(crate) struct Input {
    pub(crate) ident: Ident,
    pub(crate) name: String,
    pub(crate) version: Option<u8>,
    /// Types of older versions.
    pub(crate) older: Vec<(u8, Type)>,
    pub(crate) shape: Shape,
}

pub(crate) enum Shape {
    Struct(Vec<Field>),
    Enum(Vec<Variant>),
}

pub(crate) struct Variant {
    pub(crate) ident: Ident,
    pub(crate) name: String,
    pub(crate) fields: Vec<Field>,
}

pub(crate) struct Field {
    pub(crate) member: Member,
    pub(crate) name: String,
    /// The type that encodes it.
    pub(crate) codec: Type,
}

/// The attributes of a type, a variant or a field.
#[derive(Default)]
struct Attributes {
    name: Option<LitStr>,
    version: Option<u8>,
    older: Vec<(u8, Type)>,
    with: Option<Type>,
}

impl Input {
    pub(crate) fn read(input: &DeriveInput) -> Result<Self> {
        if !input.generics.params.is_empty() {
            let text = "a stored type has no type parameters and no lifetimes: use owned fields \
                        (`String`), or one type for each `T`";
            return Err(Error::new(input.generics.span(), text));
        }
        let attributes = Attributes::read(&input.attrs, &["name", "version", "from"])?;
        let version = attributes.version;
        for (older, ty) in &attributes.older {
            if version.is_none_or(|version| *older >= version) {
                let text = format!("`from({older})` needs a `version` above {older}");
                return Err(Error::new(ty.span(), text));
            }
        }
        let name = attributes.name(&input.ident)?;
        let shape = Shape::read(input)?;
        Ok(Self { ident: input.ident.clone(), name, version, older: attributes.older, shape })
    }

    /// Returns the fields of the struct, or of all variants.
    pub(crate) fn fields(&self) -> impl Iterator<Item = &Field> {
        let (fields, variants) = match &self.shape {
            Shape::Struct(fields) => (&fields[..], &[][..]),
            Shape::Enum(variants) => (&[][..], &variants[..]),
        };
        fields.iter().chain(variants.iter().flat_map(|variant| &variant.fields))
    }
}

impl Shape {
    fn read(input: &DeriveInput) -> Result<Self> {
        match &input.data {
            Data::Struct(data) => Field::read(&data.fields).map(Self::Struct),
            Data::Enum(data) if data.variants.is_empty() => {
                Err(Error::new(input.ident.span(), "an enum without variants has no values"))
            }
            Data::Enum(data) if data.variants.len() > 256 => {
                Err(Error::new(input.ident.span(), "a stored enum has at most 256 variants"))
            }
            Data::Enum(data) => {
                data.variants.iter().map(Variant::read).collect::<Result<_>>().map(Self::Enum)
            }
            Data::Union(_) => {
                Err(Error::new(input.ident.span(), "a union cannot be stored: use an enum"))
            }
        }
    }
}

impl Variant {
    fn read(variant: &syn::Variant) -> Result<Self> {
        let attributes = Attributes::read(&variant.attrs, &["name"])?;
        let name = attributes.name(&variant.ident)?;
        Ok(Self { ident: variant.ident.clone(), name, fields: Field::read(&variant.fields)? })
    }
}

impl Field {
    fn read(fields: &Fields) -> Result<Vec<Self>> {
        let read = |(field, member): (&syn::Field, Member)| {
            let attributes = Attributes::read(&field.attrs, &["name", "with"])?;
            let name = match (&attributes.name, &member) {
                (None, Member::Unnamed(index)) => index.index.to_string(),
                (Some(_), _) => attributes.name(&Ident::new("unnamed", field.span()))?,
                (None, Member::Named(ident)) => attributes.name(ident)?,
            };
            Ok(Self { member, name, codec: attributes.with.unwrap_or_else(|| field.ty.clone()) })
        };
        fields.iter().zip(fields.members()).map(read).collect()
    }
}

impl Attributes {
    fn read(attributes: &[Attribute], known: &[&str]) -> Result<Self> {
        let mut read = Self::default();
        for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("kvick")) {
            attribute.parse_nested_meta(|meta| {
                match known.iter().find(|name| meta.path.is_ident(name)) {
                    Some(name) => read.set(name, &meta),
                    None => Err(meta.error(format!("expected one of: {}", known.join(", ")))),
                }
            })?;
        }
        Ok(read)
    }

    fn set(&mut self, name: &str, meta: &ParseNestedMeta<'_>) -> Result<()> {
        let is_again = match name {
            "name" => self.name.replace(meta.value()?.parse()?).is_some(),
            "version" => self.version.replace(number(&meta.value()?.parse()?)?).is_some(),
            "with" => self.with.replace(meta.value()?.parse()?).is_some(),
            _ => {
                let content;
                parenthesized!(content in meta.input);
                let version = number(&content.parse()?)?;
                let is_again = self.older.iter().any(|(older, _)| *older == version);
                self.older.push((version, meta.value()?.parse()?));
                is_again
            }
        };
        if is_again { Err(meta.error("is set twice")) } else { Ok(()) }
    }

    /// Returns the name of the attribute, or the identifier.
    fn name(&self, ident: &Ident) -> Result<String> {
        let Some(literal) = &self.name else {
            return Ok(ident.to_string().trim_start_matches("r#").to_owned());
        };
        let name = literal.value();
        let is_allowed = |c: char| c.is_alphanumeric() || "_-.:/".contains(c);
        if name.is_empty() || !name.chars().all(is_allowed) {
            let text = "a name has letters, digits and the characters `_-.:/`, and no space";
            return Err(Error::new(literal.span(), text));
        }
        Ok(name)
    }
}

fn number(literal: &LitInt) -> Result<u8> {
    match literal.base10_parse::<u8>() {
        Ok(version) if version > 0 => Ok(version),
        _ => Err(Error::new(literal.span(), "a version is a number from 1 to 255")),
    }
}
