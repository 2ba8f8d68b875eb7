//! JSON Schemas of what is written in more than one way, for editors.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::{Files, Labels, Part};

impl JsonSchema for Files {
    fn schema_name() -> Cow<'static, str> {
        "Files".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let path = json_schema!({ "type": "string" });
        json_schema!({
            "oneOf": [path, {
                "type": "object",
                "properties": { "train": path, "dev": path, "test": path },
                "required": ["train"],
                "additionalProperties": false
            }]
        })
    }
}

impl JsonSchema for Part {
    fn schema_name() -> Cow<'static, str> {
        "Part".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "number", "exclusiveMinimum": 0 })
    }
}

impl JsonSchema for Labels {
    fn schema_name() -> Cow<'static, str> {
        "Labels".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let table = generator.subschema_for::<BTreeMap<String, String>>();
        let list = generator.subschema_for::<Vec<String>>();
        json_schema!({ "oneOf": [table, list] })
    }
}
