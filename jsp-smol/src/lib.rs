//! JetStreamProto (JSP) on smol.
#![forbid(unsafe_code)]
