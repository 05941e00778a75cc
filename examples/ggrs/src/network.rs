//! A bad line: UDP over loopback that loses packets, and delivers the others late and out of order.
//!
//! Time is counted in polls, so that a run is as fast as the machine and not bound to a clock.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};

use ggrs::{Message, NonBlockingSocket};

/// What a line does to packets.
#[derive(Clone, Copy)]
pub struct Line {
    pub lost_percent: u64,
    /// Polls until a packet is delivered: at least, and at most.
    pub delay: (u64, u64),
}

pub struct LossySocket {
    socket: UdpSocket,
    line: Line,
    random: u64,
    polls: u64,
    /// Packets that are under way, and when each is due.
    waiting: Vec<(u64, SocketAddr, Message)>,
}

impl LossySocket {
    pub fn bind(line: Line, seed: u64) -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        socket.set_nonblocking(true).unwrap();
        Self { socket, line, random: seed, polls: 0, waiting: Vec::new() }
    }

    pub fn address(&self) -> SocketAddr {
        self.socket.local_addr().unwrap()
    }

    /// Below `end`; a generator by Steele, Lea and Flood (splitmix64).
    fn below(&mut self, end: u64) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.random;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (word ^ (word >> 31)) % end
    }

    fn arrive(&mut self, from: SocketAddr, message: Message) {
        if self.below(100) < self.line.lost_percent {
            return;
        }
        let (least, most) = self.line.delay;
        let due = self.polls + least + self.below(most - least + 1);
        self.waiting.push((due, from, message));
    }
}

impl NonBlockingSocket<SocketAddr> for LossySocket {
    fn send_to(&mut self, message: &Message, address: &SocketAddr) {
        let bytes = bincode::serialize(message).unwrap();
        // A full buffer is one more lost packet.
        let _ = self.socket.send_to(&bytes, address);
    }

    fn receive_all_messages(&mut self) -> Vec<(SocketAddr, Message)> {
        self.polls += 1;
        let mut buffer = [0; 4096];
        while let Ok((length, from)) = self.socket.recv_from(&mut buffer) {
            if let Ok(message) = bincode::deserialize(&buffer[..length]) {
                self.arrive(from, message);
            }
        }
        let polls = self.polls;
        let due = self.waiting.extract_if(.., |(due, ..)| *due <= polls);
        due.map(|(_, from, message)| (from, message)).collect()
    }
}
