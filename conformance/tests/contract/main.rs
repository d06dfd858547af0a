//! The contract of the adapters: every scenario with every adapter as client and every adapter as server.

mod tokio;

use jsp_conformance::contract::{self, Stage};
use jsp_conformance::contract_scenarios;

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

mod tokio_to_tokio {
    use super::*;

    contract_scenarios!(pair Tokio => Tokio;);
}
