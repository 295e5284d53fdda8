"""The wire format: a compiled Avro codec, and the registry that numbers schemas."""
