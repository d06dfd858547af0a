//! Parameters of the handshake.

use jsp_proto::internals::wire::params::{Extras, MAX_ENCODED, Params, ParamsContext, decode_params, encode_params};
use jsp_proto::internals::wire::{StreamType, Writer};

/// Reads the bytes in each of the three places. What was read is in range, and means the same written again.
pub fn run(data: &[u8]) {
    for context in [ParamsContext::P1, ParamsContext::P2, ParamsContext::ServerParams] {
        let Ok((params, extras)) = decode_params(data, context) else { continue };
        assert!(data.len() <= MAX_ENCODED);
        assert_eq!(params.out_of_range(context.sender()), None);
        assert!(params.max_message_size <= params.initial_max_data.min(params.initial_max_stream_data));
        assert!(extras.client_key.is_none() || extras.client_key_id.is_none());
        assert!(extras.refuse.is_none() || context == ParamsContext::P2);
        assert!(params.reset_token.is_none() || context == ParamsContext::ServerParams);
        again(&params, &extras, context, data.len());
    }
}

fn again(params: &Params, extras: &Extras<'_>, context: ParamsContext, len: usize) {
    let mut buffer = vec![0; len];
    let mut w = Writer::new(&mut buffer);
    encode_params(params, extras, context, &mut w).expect("never longer than it was");
    let (reread, more) = decode_params(w.written(), context).expect("its own");
    assert_eq!(&more, extras);
    // Limits for streams that the sender opens itself mean nothing and are not written.
    for (ty, (limit, again)) in
        StreamType::ALL.iter().zip(params.initial_max_streams.iter().zip(&reread.initial_max_streams))
    {
        assert!(limit == again || ty.initiator() == context.sender());
    }
    assert_eq!(Params { initial_max_streams: params.initial_max_streams, ..reread }, *params);
}
