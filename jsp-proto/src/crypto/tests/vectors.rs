//! Known answers, generated from the project's vectors: short values whole, long ones as their SHA-256.

/// One handshake with every intermediate value.
pub(crate) struct Handshake {
    pub(crate) odcid: &'static str,
    pub(crate) dcid: &'static str,
    pub(crate) scid_c: &'static str,
    pub(crate) scid_s: &'static str,
    pub(crate) token: &'static str,
    pub(crate) p1: &'static str,
    pub(crate) ss_s: &'static str,
    pub(crate) ss_e: &'static str,
    pub(crate) h0: &'static str,
    pub(crate) h1: &'static str,
    pub(crate) prk1: &'static str,
    pub(crate) k1: &'static str,
    pub(crate) sealed1: &'static str,
    pub(crate) h2: &'static str,
    pub(crate) flags: &'static str,
    pub(crate) prk2: &'static str,
    pub(crate) prk3: &'static str,
    pub(crate) prk4: &'static str,
    pub(crate) h3: &'static str,
    pub(crate) k2: &'static str,
    pub(crate) sealed2: &'static str,
    pub(crate) h4: &'static str,
    pub(crate) c_ap0: &'static str,
    pub(crate) s_ap0: &'static str,
    pub(crate) exporter: &'static str,
    pub(crate) init_secret: &'static str,
    pub(crate) init_c_ci_key_iv: &'static str,
    pub(crate) init_s_si_key_iv: &'static str,
    pub(crate) e_pk_sha256: &'static str,
    pub(crate) ct_s_sha256: &'static str,
    pub(crate) ct_e_sha256: &'static str,
    pub(crate) ct_c_sha256: &'static str,
    pub(crate) m1_sha256: &'static str,
    pub(crate) m2_sha256: &'static str,
    pub(crate) ci_datagrams: &'static [(usize, &'static str)],
    pub(crate) si_datagrams: &'static [(usize, &'static str)],
}

pub(crate) const NK: Handshake = Handshake {
    odcid: "c1c2c3c4c5c6c7c8",
    dcid: "c1c2c3c4c5c6c7c8",
    scid_c: "a1a2a3a4a5a6a7a8",
    scid_s: "5152535455565758",
    token: "",
    p1: "010480007530020245ac03048010000004048004000005030140640801040902404010060568656c6c6f",
    ss_s: "f285b028f4de617b6adf9eccbd811327848dd44ac7078c15390b16682576ad8c",
    ss_e: "0e20e697554229abbc98134c110c59120971a5973a9929c65cb932283762efde",
    h0: "eaa7ef42b59a850ab4a3571aeaa432efa5afe8ac8f270c55809146bb08b04fc7",
    h1: "c07f33f0f36641925d42893050cca473b2fc7da5c8563f4594ce908ba1373b66",
    prk1: "fd0ff09095a7cd044bf8088ba7c5deadc7db4810e81c99c51bc5b2493a93062f",
    k1: "2e59c5d6f33baaf4ce7be03308f05394a8be6b46f265636b5ac2620f99aede46",
    sealed1: "931608743b9f2f4c383dacbd1e34b81210f71a991a29634d913049b1c73471ce1be4eae4fcc716a66d358b54ae8d5e4718099d02200c2ca094e4",
    h2: "ed2f4ac1e6d64b1f9ef37f9a31134da7cbe52bb555d9d35293a48ff3ece2f614",
    flags: "00",
    prk2: "bea653ded9169aee42e2b100c4f01b4977c08a851a6cd084c5e7321432967505",
    prk3: "016e6b64bf9f1386caf4ceb7ca0738a6849e40f830d1a46de8a90634650bb8a9",
    prk4: "a3b2809dc7cd1c39a339ceedfe798d61979e43e070f9744f2e90cfde752a38bb",
    h3: "0007e0de817a6ac241d1ddf0ac9d0a806f6c8edc686e32336e11b43c38f73942",
    k2: "c6738b55db5909dfb700bfddf4e25066af40ec949ae0df4682b1ea95c07004bc",
    sealed2: "c8602e19c34b83874cda545a50588a20",
    h4: "7b345852b4e2b6dabfc59e3cbf91e0a9517855011dac93f10b26b5419dc246db",
    c_ap0: "d7c21cfcc2ada29f59a2c70db583e5984cd786e8c6de15ee9210d9ff69a95ba9",
    s_ap0: "874087e13b46b6778eea397f04a3996576dd2ce19e584508e4d2eb51e0f6e6a0",
    exporter: "e7379de519b4d3ce4e174cd2c86511a8492daad35c201e579eddada9895fabfa",
    init_secret: "3b640a766e23d1dd265e847d52eb6533ded4d03a736661177e38fdddf23b35c1",
    init_c_ci_key_iv: "bb89183a43f259b09d47798580a70839545bfd6522d10760bcab08edcc5071d53be665b88bf6f3436deb1f05",
    init_s_si_key_iv: "3ca20d2d15b1fcdb17402f61eef1b02e22f8a075a477f02f1988395cbe9358873d3fe51eb318b23bc8848c4c",
    e_pk_sha256: "a1f324bc0701f1234fbba7b11901023b3644f3bb8c6eb4ee4368d7e859eb6228",
    ct_s_sha256: "f3b200eccc1a9572dd3d9065284528440844361fea61fb1bd4a85628d4c0f3f0",
    ct_e_sha256: "a064b74d96ca55976c210fcc33a6ae0bda93878baba064241800dc3a7cb15b50",
    ct_c_sha256: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    m1_sha256: "e12d011d830555173656d079577c500ed1cd3465f733d133cff36e1fd26879ee",
    m2_sha256: "1d70a6c100e61f313cbbbf3e78aa3394f9742561649ef664f1c763ffe4b3ca24",
    ci_datagrams: &[
        (1200, "cbc19fdd0d953c61716aaf50a8457b0cdbd50f342f93087de971b067868f3478"),
        (1200, "0564f4d02e215c6f0e60bfba18b15c6d9814da1ac378fc13c1b2e6ad90756a7b"),
        (132, "ab9f7047ddbec69788ff05403fdd90354bc594775a4c3fce179c528f035cc804"),
    ],
    si_datagrams: &[(1200, "e0e601e0b428c7275e1d87dacd42db91c806c2c68c64381ee5cfbc411d530a75")],
};

pub(crate) const IK_PSK: Handshake = Handshake {
    odcid: "d1d2d3d4d5d6d7d8",
    dcid: "d1d2d3d4d5d6d7d8",
    scid_c: "a1a2a3a4a5a6a7a8",
    scid_s: "5152535455565758",
    token: "",
    p1: "010480007530020245ac03048010000004048004000005030140640801040902404010060568656c6c6f2020951e15eb543ca483cee7ecc6bca345bd87e128112d4953aa814896115c85dce0220570736b2d31",
    ss_s: "f285b028f4de617b6adf9eccbd811327848dd44ac7078c15390b16682576ad8c",
    ss_e: "0e20e697554229abbc98134c110c59120971a5973a9929c65cb932283762efde",
    h0: "eaa7ef42b59a850ab4a3571aeaa432efa5afe8ac8f270c55809146bb08b04fc7",
    h1: "beac4d26ad4b875fd0aad4174e679067c4b96419565273cf72216f370576f27b",
    prk1: "fd0ff09095a7cd044bf8088ba7c5deadc7db4810e81c99c51bc5b2493a93062f",
    k1: "14af82e836f0815546ba5854593d17ce45a137a41dd4a7e009836cafa8b43dce",
    sealed1: "fda05075d20e718c617f1abb867c8406540b5a958a7c2323738b6553ac4b20d9de509fa7745bf3b8863987ab07d96a8d1bf901f4db02ae0ff7f19cdc4da57348ca2b482b71ea26746c5474184208faffeb3e2b46dbccda18783cf7330de39771fe766e",
    h2: "7760b004e8010557463b95726ef2d286dcb640a1030c774ab7bd37822111b88a",
    flags: "03",
    prk2: "515874607cb007f94037e2acfcba4285df52df36a6cb5f5b5c4c3ea46e7983eb",
    prk3: "71721500553ecc98f2ddfe841c5274072a6c77313d3bc36b87028aa08c283dd9",
    prk4: "d1761c49ae3d5759435b9858ea46e88dff0bca9dccbacea16bb0c2ee063419f9",
    h3: "7f277e645a9e7bcfde578509477f85b56259dc2bbcfc38ab25740a2bb4375f2d",
    k2: "a2914d63e3b2acbb5a6deffd22263e03a477f75e1ebc354c230f214b3c53f990",
    sealed2: "ef8f8ea91da0ed419fbe1582b9833c50",
    h4: "24531d109291314232cf22864469f86ece807875202992def02c6d9d73dbc084",
    c_ap0: "be555a83611a3a6fd4f0081337b4fb1582b23c5cc2184191fe3fc7d370378069",
    s_ap0: "eddf70c4d8964a197366a953a810f584b7c4c25a3bb3341ed76a14bef3038f1f",
    exporter: "c2bb9b28fe0277053302d0872335996891799073882f9e2fffd65436c88ac286",
    init_secret: "c8f4467a86164b8204cb6deada2890cd1fb6e2947215ef9d6faeafbb6707dcf8",
    init_c_ci_key_iv: "f885bf2674ba742f7f2f81f1ccf1c65b3a1a26fad7e4c4ddf5d8c0a36b05a994b34a5edb4c53bfb5b715866c",
    init_s_si_key_iv: "69aa91bcc04d62aaad24c3a2069eb0d9922d5e9ea13317393edb061aba9a9ddc357155de8a10085c1a1dd321",
    e_pk_sha256: "a1f324bc0701f1234fbba7b11901023b3644f3bb8c6eb4ee4368d7e859eb6228",
    ct_s_sha256: "f3b200eccc1a9572dd3d9065284528440844361fea61fb1bd4a85628d4c0f3f0",
    ct_e_sha256: "a064b74d96ca55976c210fcc33a6ae0bda93878baba064241800dc3a7cb15b50",
    ct_c_sha256: "3b546558c4e05fd1efee199c7271ae851178bc932830ba96d89bf8b7957c926f",
    m1_sha256: "f22af1022e59ffa8b6f7eb28856557ebc1aa36adbdf2e2046eddbb5953e8e34e",
    m2_sha256: "9b00bee5782beb2b2dacc4d6312ea5c6d1530a4aff37dacd3a16c4cfb3c266eb",
    ci_datagrams: &[
        (1200, "84ea2e3e7c259c4e115992cc0a056eac3a967da4cc41a137e89958dba1bad281"),
        (1200, "7777edf6186edd0265c03490b8f6b2400f40f57f354d9967b455556fb9ad54cb"),
        (173, "f1b15990b8f0e7a874bf37ab1d35f042f33ead99f3166ebc009b9ec08e8f4e07"),
    ],
    si_datagrams: &[
        (1200, "7aaadebe70d511c5932ecf875d61f932ff1b6105e12b0aa2b8ff970c176f6b92"),
        (1200, "854649ba35a522a3a766c1453bd2777af4d48acb64a6b4f44c9d8434547de47d"),
    ],
};

pub(crate) const NK_RETRY: Handshake = Handshake {
    odcid: "b1b2b3b4b5b6b7b8",
    dcid: "ebe6ef1270cdf04a",
    scid_c: "a1a2a3a4a5a6a7a8",
    scid_s: "5152535455565758",
    token: "010000123408b1b2b3b4b5b6b7b8da5da750154367304053222bc68b1299",
    p1: "010480007530020245ac03048010000004048004000005030140640801040902404010060568656c6c6f",
    ss_s: "f285b028f4de617b6adf9eccbd811327848dd44ac7078c15390b16682576ad8c",
    ss_e: "0e20e697554229abbc98134c110c59120971a5973a9929c65cb932283762efde",
    h0: "eaa7ef42b59a850ab4a3571aeaa432efa5afe8ac8f270c55809146bb08b04fc7",
    h1: "1d7402ccd4f9e6962b61ddffafe2a9aa5383bdaec06d78b3af620b21a54f4e6e",
    prk1: "fd0ff09095a7cd044bf8088ba7c5deadc7db4810e81c99c51bc5b2493a93062f",
    k1: "c12e0f772c40b7e305325d029e4f39c9ec723cd73b9ffbe4b4110c94fc97e4c7",
    sealed1: "dcfe3f61f7035f6dee924e03ccd614106ae4ed715dc5d6ecce5e20afcf5bd5440b025c01f0d2bf6d884f98798a5d29b0d86b5b05857af02db731",
    h2: "fd3e2286c2945bdc84cb6a49d8c0ed887ca66a19cf147c57387ecf6d371dcd4c",
    flags: "00",
    prk2: "fa1de7bd1fe8f9029bcd3f385376b4f54f46b45e0fa5f5b423e629c124b549f7",
    prk3: "b1e36fac5603d26d70b0ec76779db59d2c6e646051d0b11cf3cd503ee9683f0d",
    prk4: "eda41aec7c5eb003a37db0174daf19eda53ca434988193195a27c970257f0385",
    h3: "6ed0fd43579825ad031bd6e1efbeacb6071987ea4bf3a52ce9be4d970bd6da55",
    k2: "39914db1771d90a0bcc8ccd4d0166d1ee73062e012f89fd1e1560e81d4c4ff9d",
    sealed2: "a70e483556ac3ef049f2ce3358789d98",
    h4: "90e84ce6d706fa88e7fc8957444cdb3d103c8290fbf9bbd0974f3f545d51aa33",
    c_ap0: "870705deee00fe0ac616b63b73fc3f79701242f6beceefef78ea1933b339e500",
    s_ap0: "4dc41bca24ffb80d2e0b4bf7949576cf932b03645d910f5e44f42869ba5075b3",
    exporter: "180407ce9f5d2230cd523b21bb47894642217723d311914c992311bf1ba36895",
    init_secret: "b85f4fc3a3e4fba9e40e87f542e383dc4ea1e1bd5a036190b7665bad1499fdc3",
    init_c_ci_key_iv: "aef32bba54e5cee80d9ef650c1dce2018807c6d03546409934d181e6860bfddb47ede6c668a11a71d0c55b5f",
    init_s_si_key_iv: "f54c9827a74324e53de159510858ef37222459ac1938f9ae32990c10f4325438394648e0471b904c40214e66",
    e_pk_sha256: "a1f324bc0701f1234fbba7b11901023b3644f3bb8c6eb4ee4368d7e859eb6228",
    ct_s_sha256: "f3b200eccc1a9572dd3d9065284528440844361fea61fb1bd4a85628d4c0f3f0",
    ct_e_sha256: "a064b74d96ca55976c210fcc33a6ae0bda93878baba064241800dc3a7cb15b50",
    ct_c_sha256: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    m1_sha256: "fd4820a77f1acdeece1563903c66f42e452b95d374b02fbfef2eb37f112964f5",
    m2_sha256: "ef2bfa6fabbc2689a3902d11c396b5e9f175972f39ab866a66737de9f0dd5ed9",
    ci_datagrams: &[
        (1200, "a2a8df672ec8cbcca2d622602369a2b5c21911fc05a34559040c99286855cea6"),
        (1200, "340454cab4f54786b64493c81718f2fd4175d117becbe30623f341018dd8afcf"),
        (222, "a713ee28c36c93f000c4c562ee1cf1af961b5d7f8ab7f7130449a5f519d345b7"),
    ],
    si_datagrams: &[(1200, "113746f08db1aa84c4c390d678342195b8c90969d071f773b5dff5da8d0090c7")],
};

pub(crate) const SERVER_STATIC_SEED: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
pub(crate) const CLIENT_EPHEMERAL_SEED: &str = "202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f";
pub(crate) const CLIENT_STATIC_SEED: &str = "606162636465666768696a6b6c6d6e6f707172737475767778797a7b7c7d7e7f";
pub(crate) const ESEED_S: &str = "404142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f606162636465666768696a6b6c6d6e6f707172737475767778797a7b7c7d7e7f";
pub(crate) const ESEED_E: &str = "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9fa0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babbbcbdbebf";
pub(crate) const ESEED_C: &str = "c0c1c2c3c4c5c6c7c8c9cacbcccdcecfd0d1d2d3d4d5d6d7d8d9dadbdcdddedfe0e1e2e3e4e5e6e7e8e9eaebecedeeeff0f1f2f3f4f5f6f7f8f9fafbfcfdfeff";
pub(crate) const TOKEN_KEY: &str = "e0e1e2e3e4e5e6e7e8e9eaebecedeeeff0f1f2f3f4f5f6f7f8f9fafbfcfdfeff";
pub(crate) const RESET_KEY: &str = "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff000102030405060708090a0b0c0d0e0f";
pub(crate) const NEW_TOKEN_NONCE: &str = "101112131415161718191a1b";
pub(crate) const PSK: &str = "7777777777777777777777777777777777777777777777777777777777777777";
pub(crate) const PK_S_SHA256: &str = "c9a3565ffde4f72b51661be391ee13e46378d7f06dd5c8bf5af9d2cfb5b8336b";
pub(crate) const KEY_ID_S: &str = "7f4aa4125996cb37bc2406f84e6a099e0ae5635e5db7702690b272626328ec2d";
pub(crate) const PK_C_SHA256: &str = "d13209d86547a31ae86a67d9a26c90e5efc1310514195ab06e9b9e12bf328b6a";
pub(crate) const KEY_ID_C: &str = "951e15eb543ca483cee7ecc6bca345bd87e128112d4953aa814896115c85dce0";
pub(crate) const RETRY_SCID: &str = "ebe6ef1270cdf04a";
pub(crate) const RETRY_DATAGRAM: &str = "e04a53500108a1a2a3a4a5a6a7a808ebe6ef1270cdf04a9848bfbe0bceb0bb221794fbead6089ca667dfc0422e4b331bf94b005ee906252c5dea861462763512361a57c2bd";
pub(crate) const KEYFETCH_DCID: &str = "9192939495969798";
pub(crate) const KEYFETCH_RETRY_SCID: &str = "ed4e5552f2ee6970";
pub(crate) const KEYREQ_SHA256: &str = "024a4678c08bedead27a9bff1ebea0c7ad7435f72604a3c2899879650b98d570";
pub(crate) const KEYINFO_SHA256: &str = "651de9a8cabe90f539062a34b23b77f3e436d900d41c5e5e294dafebed7761b2";
pub(crate) const KEYINFO_DATAGRAMS: &[(usize, &str)] = &[
    (669, "2610ca16b4444fe95fd5a1ab567dc6a6e9b4114457844249b9dc07facc1b37d8"),
    (669, "f09ee2ea897279fd662352f56d1b93d78168483ca0128b7c21da6657de982b19"),
];
pub(crate) const ONE_RTT_C_KEY: &str = "fc0b6b47745a75aba38a3835064fbf4b30ab099487391afc9f56a3011f532ca9";
pub(crate) const ONE_RTT_C_IV: &str = "4a035be3a4f100f86df9ffbf";
pub(crate) const ONE_RTT_C_HP: &str = "d0b66f0a7b8184deff71073d0c149f1a97bdeb0f3266f4af42d0123f849c0847";
pub(crate) const ONE_RTT_S_KEY: &str = "6438d0e6a732393ec915b853f18879791fcad7f40f76112cdab0d270225f5cda";
pub(crate) const ONE_RTT_S_IV: &str = "a64c2e821510b291fc4218d1";
pub(crate) const ONE_RTT_S_HP: &str = "c5c568ee1f46ae5eaeada7f755e99b197717b45428fa055d6403c75c422d7e46";
pub(crate) const ONE_RTT_S0_PLAIN: &str =
    "0431010480007530030480100000040480040000050300406410060568656c6c6f151024aa541fe47179b35d1a0909a4d3f75d";
pub(crate) const ONE_RTT_S0_PACKET: &str = "48a1a2a3a4a5a6a7a83c52f799e5be24b9a102deff2661da8ed7122a463a164dc2385939df4664dc7d74d1335a4cb46153fb4d3b63e4c9f1e0e86ccd95ce3f98593302cfc05660a8b466c2d91a";
pub(crate) const ONE_RTT_C0_PLAIN: &str = "020000000013000568656c6c6f";
pub(crate) const ONE_RTT_C0_PACKET: &str =
    "4151525354555657589f8f4c7eae7e4af5200490e22e8b082fd0cec45e2bb3822de2c983701893";
pub(crate) const ONE_RTT_C1234_PLAIN_F1: &str = "27080003616263";
pub(crate) const ONE_RTT_C1234_PACKET_F1: &str = "5551525354555657586f51094e94696ffa1bac9314e8a6e4f5194fd767e1a235ef5c";
pub(crate) const ONE_RTT_C_AP1: &str = "dcb8f214626ace712600be564a34f0ae01fbbc1f683e6b08ca8650b60dcd1cdc";
pub(crate) const ONE_RTT_C_KEY1: &str = "9418e2af628304cf1f05f1fded3c642aba095c33e2b52cc7a934469c7819e4c3";
pub(crate) const ONE_RTT_C_IV1: &str = "7ad55581ce144b9bd338c610";
pub(crate) const ONE_RTT_C20000_PACKET_PHASE1_PING: &str =
    "5c515253545556575855ccedd73ecfd2e52fc1e19a3c83ae4135c8bec6d98999";
pub(crate) const ONE_RTT_RESET_TOKEN_SCID_S: &str = "24aa541fe47179b35d1a0909a4d3f75d";
pub(crate) const NEW_TOKEN_KEY: &str = "bc282c3227c23cecd0b8b47ce2b765aeca0dd782062d378529eac93eac7d454f";
pub(crate) const NEW_TOKEN_TOKEN: &str =
    "02101112131415161718191a1bc0ffe374c578d24b85325ca21a55f056732a0d7b8461fd97212685e5c8e99f98ea4b98dd";
