//! Networks that are bad on purpose, as the command line describes them.

use std::str::FromStr;
use std::time::Duration;

use crate::proxy::Impairment;

/// What happens to datagrams between client and server. Two values are for the direction to the server and for the
/// direction to the client.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Network {
    /// Datagrams lost at random, percent [default of demo: 2]
    #[arg(long, value_name = "%[,%]", value_parser = Both::percent)]
    loss: Option<Both<f64>>,
    /// Datagrams lost in a row on average; 1 and more, in bursts that come by chance [default: each for itself]
    #[arg(long, value_name = "LEN", value_parser = burst)]
    burst: Option<f64>,
    /// Delay of each datagram, milliseconds [default of demo: 20]
    #[arg(long, value_name = "MS[,MS]", value_parser = Both::delay)]
    delay: Option<Both<f64>>,
    /// Round trip, milliseconds: half of it each way
    #[arg(long, value_name = "MS", value_parser = Both::round_trip, conflicts_with = "delay")]
    rtt: Option<Both<f64>>,
    /// Bottleneck, Mbit/s, with a queue of 100 ms [default: none]
    #[arg(long, value_name = "MBIT[,MBIT]", value_parser = Both::rate)]
    rate: Option<Both<f64>>,
    /// Which datagrams are lost
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
}

impl Network {
    /// Whether anything is said of it.
    pub(crate) fn is_given(&self) -> bool {
        self.loss.is_some() || self.burst.is_some() || self.delay().is_some() || self.rate.is_some()
    }

    fn delay(&self) -> Option<Both<f64>> {
        self.rtt.or(self.delay)
    }

    /// The same, with these values, in percent and milliseconds, where nothing is said.
    pub(crate) fn or(self, loss: f64, delay: f64) -> Self {
        let loss = self.loss.or(Some(Both::same(loss)));
        Self { loss, delay: Some(self.delay().unwrap_or(Both::same(delay))), rtt: None, ..self }
    }

    /// What it does to datagrams to the server and to the client.
    pub(crate) fn impairments(&self) -> [Impairment; 2] {
        let loss = self.loss.unwrap_or_default();
        let delay = self.delay().unwrap_or_default();
        let one = |loss: f64, delay: f64, rate: Option<f64>| Impairment {
            loss: loss / 100.0,
            burst: self.burst,
            delay: Duration::from_secs_f64(delay / 1000.0),
            rate: rate.map(|mbit| mbit * 125_000.0),
        };
        [
            one(loss.to_server, delay.to_server, self.rate.map(|rate| rate.to_server)),
            one(loss.to_client, delay.to_client, self.rate.map(|rate| rate.to_client)),
        ]
    }

    /// In words: "loses 2 % each way and delays by 20 ms each way; seed 1".
    pub(crate) fn described(&self) -> String {
        let both = |values: Both<f64>, unit: &str| match values.to_server == values.to_client {
            true => format!("{} {unit} each way", values.to_server),
            false => format!("{} {unit} to the server and {} {unit} to the client", values.to_server, values.to_client),
        };
        let bursts = self.burst.map(|burst| format!(", {burst} in a row on average,")).unwrap_or_default();
        let rate = self.rate.map(|rate| format!(", at most {}", both(rate, "Mbit/s"))).unwrap_or_default();
        let (loss, delay) = (self.loss.unwrap_or_default(), self.delay().unwrap_or_default());
        format!("loses {}{bursts} and delays by {}{rate}; seed {}", both(loss, "%"), both(delay, "ms"), self.seed)
    }
}

/// A value for each direction.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Both<T> {
    to_server: T,
    to_client: T,
}

impl Both<f64> {
    const fn same(value: f64) -> Self {
        Self { to_server: value, to_client: value }
    }

    fn percent(text: &str) -> Result<Self, String> {
        Self::parse(text, |value| (0.0..=100.0).contains(&value), "a percentage, or two with a comma between")
    }

    fn delay(text: &str) -> Result<Self, String> {
        Self::parse(text, |value| (0.0..=60_000.0).contains(&value), "milliseconds up to 60000, or two values")
    }

    fn round_trip(text: &str) -> Result<Self, String> {
        let rtt = f64::from_str(text).ok().filter(|rtt| (0.0..=120_000.0).contains(rtt));
        let half = rtt.map(|rtt| rtt / 2.0).ok_or("expected milliseconds up to 120000")?;
        Ok(Self { to_server: half, to_client: half })
    }

    fn rate(text: &str) -> Result<Self, String> {
        Self::parse(text, |value| (0.01..=1e6).contains(&value), "Mbit/s from 0.01 up, or two values")
    }

    fn parse(text: &str, fits: impl Fn(f64) -> bool, expected: &str) -> Result<Self, String> {
        let (to_server, to_client) = text.split_once(',').unwrap_or((text, text));
        let one = |text: &str| f64::from_str(text.trim()).ok().filter(|&value| fits(value));
        match (one(to_server), one(to_client)) {
            (Some(to_server), Some(to_client)) => Ok(Self { to_server, to_client }),
            _ => Err(format!("expected {expected}")),
        }
    }
}

fn burst(text: &str) -> Result<f64, String> {
    let length = f64::from_str(text).ok().filter(|length| (1.0..=1000.0).contains(length));
    length.ok_or_else(|| "expected datagrams from 1 to 1000".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_for_both_directions() {
        assert_eq!(Both::percent("2"), Ok(Both::same(2.0)));
        assert_eq!(Both::percent("0, 5"), Ok(Both { to_server: 0.0, to_client: 5.0 }));
        assert!(Both::percent("101").is_err());
        assert!(Both::delay("-1").is_err());
        assert_eq!(Both::round_trip("30"), Ok(Both::same(15.0)));
        assert_eq!(burst("3"), Ok(3.0));
        assert!(burst("0.5").is_err());
    }

    #[test]
    fn what_is_not_said_is_as_usual() {
        let nothing = Network { loss: None, burst: None, delay: None, rtt: None, rate: None, seed: 1 };
        assert!(!nothing.is_given());
        assert_eq!(nothing.described(), "loses 0 % each way and delays by 0 ms each way; seed 1");
        let [there, back] = nothing.or(2.0, 20.0).impairments();
        assert_eq!((there.loss, there.delay, back.delay), (0.02, Duration::from_millis(20), there.delay));
        let given = Network { rtt: Some(Both::same(15.0)), burst: Some(3.0), ..nothing };
        assert!(given.is_given());
        let said = "loses 2 % each way, 3 in a row on average, and delays by 15 ms each way; seed 1";
        assert_eq!(given.or(2.0, 20.0).described(), said);
    }
}
