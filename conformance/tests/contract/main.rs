//! The contract of the adapters: every scenario with every adapter as client and every adapter as server.

#![allow(clippy::duplicate_mod, reason = "the same code must serve several adapters")]

mod capi;
mod mio;
mod smol;
mod tokio;

use jsp_conformance::contract::{self, Stage};
use jsp_conformance::contract_scenarios;

use self::capi::Capi;
use self::mio::Mio;
use self::smol::Smol;
use self::tokio::Tokio;

/// One test for each scenario: `pair! { Client => Server; scenarios }`.
macro_rules! pair {
    ($client:ty => $server:ty; $($scenario:ident)*) => {
        $(
            #[test]
            fn $scenario() {
                contract::$scenario(Stage::<$client, $server>::new(stringify!($scenario)));
            }
        )*
    };
}

/// The pairs, each in a module of its name.
macro_rules! pairs {
    ($($name:ident: $client:ty => $server:ty;)*) => {
        $(
            mod $name {
                use super::*;

                contract_scenarios!(pair $client => $server;);
            }
        )*
    };
}

pairs! {
    tokio_to_tokio: Tokio => Tokio;
    tokio_to_smol: Tokio => Smol;
    tokio_to_mio: Tokio => Mio;
    smol_to_tokio: Smol => Tokio;
    smol_to_smol: Smol => Smol;
    smol_to_mio: Smol => Mio;
    mio_to_tokio: Mio => Tokio;
    mio_to_smol: Mio => Smol;
    mio_to_mio: Mio => Mio;
    capi_to_capi: Capi => Capi;
    capi_to_tokio: Capi => Tokio;
    tokio_to_capi: Tokio => Capi;
}
