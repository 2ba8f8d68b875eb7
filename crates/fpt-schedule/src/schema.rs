//! JSON Schemas of what is written in more than one way, for editors.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::{Amount, Share};

impl JsonSchema for Share {
    fn schema_name() -> Cow<'static, str> {
        "Share".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A share: a number of at most 1, or a fraction such as \"1/4\".",
            "oneOf": [{ "type": "number", "exclusiveMinimum": 0, "maximum": 1 }, { "type": "string" }]
        })
    }
}

impl JsonSchema for Amount {
    fn schema_name() -> Cow<'static, str> {
        "Amount".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A whole number, or a share: 0.25 or \"1/4\".",
            "oneOf": [{ "type": "number", "exclusiveMinimum": 0 }, { "type": "string" }]
        })
    }
}
