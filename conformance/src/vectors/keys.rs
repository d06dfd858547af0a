//! Keys and the steps that lead to them (specification sections 2.2, 2.4, 2.7, 3.6 and 13 item 12).

use jsp_proto::internals::crypto::initial::{INITIAL_SALT, InitialKeys};
use jsp_proto::internals::crypto::kdf::{Prk, exporter};
use jsp_proto::internals::crypto::kem::{CIPHERTEXT_LEN, PUBLIC_KEY_LEN, SecretKey, SharedSecret};
use jsp_proto::internals::crypto::key_id::KeyId;
use jsp_proto::internals::crypto::packet::Secret;
use jsp_proto::internals::crypto::transcript::{
    Ids, Secrets, h0, h1, h2, h3, h4, k1, k2, prk1, prk2, prk3, prk4, seal_params,
};
use jsp_proto::wire::LongType;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::value::{Computed, Inputs, hex};

/// The keys of handshake packets between a client that wrote to `dcid` and a server that answers from `scid_s`.
pub(super) fn initial_keys(inputs: &Inputs<'_>) -> Computed {
    let key_id = KeyId::new(inputs.array("key_id")?);
    let (dcid, scid) = (inputs.cid("dcid")?, inputs.cid("scid_s")?);
    let keys = InitialKeys::new(&key_id, &dcid);
    let client = |ty| hex(&keys.key_iv("ci", ty, b""));
    let server = |ty| hex(&keys.key_iv("si", ty, &scid));
    Ok(json!({
        "salt": hex(&INITIAL_SALT),
        "secret": hex(keys.secret().as_bytes()),
        "ci_key_iv": client(LongType::ClientInit),
        "keyreq_key_iv": client(LongType::Key),
        "si_key_iv": server(LongType::ServerInit),
        "retry_key_iv": server(LongType::Retry),
        "keyinfo_key_iv": server(LongType::Key),
    }))
}

/// X-Wing: the key pair of `seed`, and an encapsulation to it with the coins `eseed`.
pub(super) fn encapsulation(inputs: &Inputs<'_>) -> Computed {
    let key = SecretKey::from_seed(inputs.array("seed")?);
    let (ciphertext, shared) = key.public().encapsulate(&inputs.array("eseed")?).map_err(|error| error.to_string())?;
    let opened = key.decapsulate(&ciphertext).map_err(|error| error.to_string())?;
    if opened.as_bytes() != shared.as_bytes() {
        return Err("decapsulation gives another secret".into());
    }
    Ok(json!({
        "public_key_sha256": hex(&Sha256::digest(key.public().as_bytes())),
        "ciphertext_sha256": hex(&Sha256::digest(ciphertext)),
        "shared_secret": hex(shared.as_bytes()),
    }))
}

/// X-Wing: what the key pair of `seed` makes of any ciphertext.
pub(super) fn decapsulation(inputs: &Inputs<'_>) -> Computed {
    let key = SecretKey::from_seed(inputs.array("seed")?);
    Ok(match key.decapsulate(&inputs.array("ciphertext")?) {
        Ok(shared) => json!({ "shared_secret": hex(shared.as_bytes()) }),
        Err(_) => json!({ "error": "non_contributory" }),
    })
}

/// Everything that goes into the key schedule.
pub(super) struct Schedule {
    pub(super) pk_s: [u8; PUBLIC_KEY_LEN],
    pub(super) odcid: Vec<u8>,
    pub(super) dcid: Vec<u8>,
    pub(super) scid_c: Vec<u8>,
    pub(super) scid_s: Vec<u8>,
    pub(super) e_pk: [u8; PUBLIC_KEY_LEN],
    pub(super) ct_s: [u8; CIPHERTEXT_LEN],
    pub(super) ct_e: [u8; CIPHERTEXT_LEN],
    pub(super) ct_c: Vec<u8>,
    pub(super) ss_s: SharedSecret,
    pub(super) ss_e: SharedSecret,
    pub(super) ss_c: Option<SharedSecret>,
    pub(super) psk: Option<[u8; 32]>,
    pub(super) flags: u8,
    pub(super) p1: Vec<u8>,
    pub(super) p2: Vec<u8>,
}

impl Schedule {
    /// Every value, the two messages, and what they leave behind.
    pub(super) fn run(&self) -> (Value, [Vec<u8>; 2], Secrets) {
        let h0 = h0(&self.pk_s);
        let h1 = h1(&h0, Ids { odcid: &self.odcid, dcid: &self.dcid, scid: &self.scid_c }, &self.e_pk, &self.ct_s);
        let prk1 = prk1(&h0, &self.ss_s);
        let k1 = k1(&prk1, &h1);
        let sealed1 = seal_params(&k1, &h1, &self.p1);
        let h2 = h2(&h1, &sealed1);
        let prk2 = prk2(&prk1, &h2, &self.ss_e);
        let prk3 = prk3(&prk2, self.ss_c.as_ref());
        let prk4 = prk4(&prk3, self.psk.as_ref());
        let h3 = h3(&h2, self.flags, &self.scid_s, &self.ct_e, &self.ct_c);
        let k2 = k2(&prk4, &h3);
        let sealed2 = seal_params(&k2, &h3, &self.p2);
        let h4 = h4(&h3, &sealed2);
        let secrets = Secrets::derive(&prk4, h4);
        let m1 = [&self.e_pk[..], &self.ct_s, &sealed1].concat();
        let m2 = [&[self.flags][..], &self.ct_e, &self.ct_c, &sealed2].concat();
        let values = json!({
            "h0": hex(&h0), "h1": hex(&h1), "h2": hex(&h2), "h3": hex(&h3), "h4": hex(&h4),
            "prk1": hex(prk1.as_bytes()), "prk2": hex(prk2.as_bytes()),
            "prk3": hex(prk3.as_bytes()), "prk4": hex(prk4.as_bytes()),
            "k1": hex(k1.as_bytes()), "k2": hex(k2.as_bytes()),
            "sealed1": hex(&sealed1), "sealed2": hex(&sealed2),
            "c_ap0": hex(secrets.client.as_bytes()),
            "s_ap0": hex(secrets.server.as_bytes()),
            "exporter": hex(secrets.exporter.as_bytes()),
        });
        (values, [m1, m2], secrets)
    }
}

/// The key schedule alone: the results of the KEM are inputs, so no KEM is needed.
pub(super) fn key_schedule(inputs: &Inputs<'_>) -> Computed {
    let secret = |inputs: &Inputs<'_>, key: &str| Ok(SharedSecret::new(inputs.array(key)?));
    let schedule = Schedule {
        pk_s: inputs.array("pk_s")?,
        odcid: inputs.cid("odcid")?,
        dcid: inputs.cid("dcid")?,
        scid_c: inputs.cid("scid_c")?,
        scid_s: inputs.cid("scid_s")?,
        e_pk: inputs.array("e_pk")?,
        ct_s: inputs.array("ct_s")?,
        ct_e: inputs.array("ct_e")?,
        ct_c: inputs.optional("ct_c", Inputs::array::<CIPHERTEXT_LEN>)?.map_or(Vec::new(), Vec::from),
        ss_s: secret(inputs, "ss_s")?,
        ss_e: secret(inputs, "ss_e")?,
        ss_c: inputs.optional("ss_c", secret)?,
        psk: inputs.optional("psk", Inputs::array)?,
        flags: inputs.array::<1>("flags")?[0],
        p1: inputs.bytes("p1")?,
        p2: inputs.bytes("p2")?,
    };
    Ok(schedule.run().0)
}

/// What follows from the secret of one direction, over `phases` key phases.
pub(super) fn packet_keys(inputs: &Inputs<'_>) -> Computed {
    let mut secret = Secret::new(inputs.array("secret")?);
    let hp = hex(secret.hp().as_bytes());
    let phases: u8 = inputs.small("phases")?;
    let phases: Vec<_> = (0..phases)
        .map(|_| {
            let next = secret.next();
            let phase = std::mem::replace(&mut secret, next);
            json!({
                "secret": hex(phase.as_bytes()),
                "key": hex(phase.key().as_bytes()),
                "iv": hex(&phase.iv()),
            })
        })
        .collect();
    Ok(json!({ "hp": hp, "phases": phases }))
}

/// A key for the application, from the exporter secret of a connection.
pub(super) fn export(inputs: &Inputs<'_>) -> Computed {
    let secret = Prk::new(inputs.array("exporter")?);
    let mut key = vec![0; inputs.small::<u16>("length")?.into()];
    exporter(&secret, &inputs.bytes("label")?, &inputs.bytes("context")?, &mut key)
        .map_err(|error| error.to_string())?;
    Ok(json!({ "key": hex(&key) }))
}
