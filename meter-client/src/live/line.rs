//! The line to a meter: a TCP connection or a serial port.

use std::{
    io::{self, Read as _},
    net::{TcpStream, ToSocketAddrs as _},
    path::PathBuf,
    str::FromStr,
    time::Duration,
};

use gridveil_readings::live::Speech;
use serial2::{CharSize, Parity, SerialPort, Settings, StopBits};

/// A read waits so long at most, so that a signal is heard.
const TICK: Duration = Duration::from_millis(200);
/// A connection is made within this time.
const CONNECT: Duration = Duration::from_secs(5);

/// Where a meter is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// Host and port.
    Tcp(String),
    /// A serial port.
    Serial(PathBuf),
}

/// Text that is no address of a meter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a meter is at tcp://HOST:PORT, or at a serial port such as /dev/ttyUSB0")]
pub struct AddressError;

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if let Some(place) = text.strip_prefix("tcp://") {
            let port = place.rsplit_once(':').filter(|(host, _)| !host.is_empty()).map(|(_, port)| port.parse::<u16>());
            return if matches!(port, Some(Ok(_))) { Ok(Self::Tcp(place.to_owned())) } else { Err(AddressError) };
        }
        if text.starts_with('/') { Ok(Self::Serial(text.into())) } else { Err(AddressError) }
    }
}

/// Speed and format of a serial line, such as `9600-7E1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SerialFormat {
    baud: u32,
    bits: CharSize,
    parity: Parity,
    stop: StopBits,
}

impl SerialFormat {
    /// What meters of this speech use: DSMR 4 and later, and every SML meter.
    #[must_use]
    pub const fn usual(speech: Speech) -> Self {
        let baud = match speech {
            Speech::P1 => 115_200,
            Speech::Sml => 9_600,
        };
        Self { baud, bits: CharSize::Bits8, parity: Parity::None, stop: StopBits::One }
    }
}

impl FromStr for SerialFormat {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = "speed, bits, parity and stop bits, such as 115200-8N1 or 9600-7E1";
        let (baud, format) = text.split_once('-').ok_or(wrong)?;
        let baud = baud.parse().ok().filter(|baud| (300..=1_000_000).contains(baud)).ok_or(wrong)?;
        let mut letters = format.chars();
        let (bits, parity, stop) = (letters.next(), letters.next(), letters.next());
        let bits = match bits {
            Some('7') => CharSize::Bits7,
            Some('8') => CharSize::Bits8,
            _ => return Err(wrong),
        };
        let parity = match parity {
            Some('N' | 'n') => Parity::None,
            Some('E' | 'e') => Parity::Even,
            Some('O' | 'o') => Parity::Odd,
            _ => return Err(wrong),
        };
        let stop = match (stop, letters.next()) {
            (Some('1'), None) => StopBits::One,
            (Some('2'), None) => StopBits::Two,
            _ => return Err(wrong),
        };
        Ok(Self { baud, bits, parity, stop })
    }
}

/// An open line.
#[derive(Debug)]
pub(super) enum Line {
    Tcp(TcpStream),
    Serial(SerialPort),
}

impl Line {
    pub(super) fn open(address: &Address, format: SerialFormat) -> io::Result<Self> {
        match address {
            Address::Tcp(place) => {
                let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
                for one in place.to_socket_addrs()? {
                    match TcpStream::connect_timeout(&one, CONNECT) {
                        Ok(stream) => {
                            stream.set_read_timeout(Some(TICK))?;
                            return Ok(Self::Tcp(stream));
                        }
                        Err(error) => last = error,
                    }
                }
                Err(last)
            }
            Address::Serial(path) => {
                let mut port = SerialPort::open(path, |mut settings: Settings| {
                    settings.set_raw();
                    settings.set_baud_rate(format.baud)?;
                    settings.set_char_size(format.bits);
                    settings.set_parity(format.parity);
                    settings.set_stop_bits(format.stop);
                    Ok(settings)
                })?;
                port.set_read_timeout(TICK)?;
                Ok(Self::Serial(port))
            }
        }
    }

    /// What came; `None` if nothing did for a moment.
    pub(super) fn read<'a>(&mut self, buffer: &'a mut [u8]) -> io::Result<Option<&'a [u8]>> {
        let read = match self {
            Self::Tcp(stream) => stream.read(buffer),
            Self::Serial(port) => port.read(buffer),
        };
        match read {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => Ok(buffer.get(..count)),
            Err(error)
                if [io::ErrorKind::TimedOut, io::ErrorKind::WouldBlock, io::ErrorKind::Interrupted]
                    .contains(&error.kind()) =>
            {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_formats_are_read_or_refused() {
        assert_eq!("tcp://10.0.0.7:8088".parse(), Ok(Address::Tcp("10.0.0.7:8088".into())));
        assert_eq!("tcp://[::1]:8088".parse(), Ok(Address::Tcp("[::1]:8088".into())));
        assert_eq!("/dev/ttyUSB0".parse(), Ok(Address::Serial("/dev/ttyUSB0".into())));
        for text in ["", "tcp://", "tcp://host", "tcp://:80", "tcp://host:99999", "ttyUSB0", "http://host:80"] {
            assert_eq!(text.parse::<Address>(), Err(AddressError), "{text}");
        }
        assert_eq!("115200-8N1".parse(), Ok(SerialFormat::usual(Speech::P1)));
        assert!("9600-7E1".parse::<SerialFormat>().is_ok());
        for text in ["", "9600", "9600-8", "9600-8X1", "9600-8N3", "9600-8N11", "0-8N1", "x-8N1"] {
            assert!(text.parse::<SerialFormat>().is_err(), "{text}");
        }
    }
}
