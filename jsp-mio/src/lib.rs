//! JetStreamProto (JSP) in a blocking mio loop.
#![forbid(unsafe_code)]
