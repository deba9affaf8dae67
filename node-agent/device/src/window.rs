//! Splits the slots that the kernel filled into datagrams, some at a time.

use crate::batch::Batch;

/// A filled slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Length in bytes; `None` if it was truncated.
    pub len: Option<usize>,
    /// Length of each of several coalesced datagrams, of which the last may be shorter; `None` for a single one.
    pub segment: Option<usize>,
}

impl Slot {
    /// Length of each datagram.
    fn step(self) -> usize {
        self.segment.or(self.len).unwrap_or(0).max(1)
    }

    /// How many datagrams are dropped because they are too long or truncated: all or none.
    pub fn left_out(self, max_message: usize) -> usize {
        match self.len {
            Some(len) if self.step().min(len) > max_message => len.div_ceil(self.step()),
            Some(_) => 0,
            None => 1,
        }
    }
}

/// The position of the next datagram.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Window {
    slot: usize,
    /// In that slot.
    byte: usize,
}

impl Window {
    /// Fills `messages` with the next datagrams, tagged with their slot's number; with none at the end. A slot is split over two
    /// windows only if it fits into none. Slots are `slot_len` bytes apart in the buffer of `messages`; datagrams longer than
    /// `max_message` bytes are dropped.
    pub fn fill(
        &mut self,
        slots: &[Slot],
        slot_len: usize,
        max_message: usize,
        messages: &mut Batch,
    ) {
        messages.clear();
        while let Some(slot) = slots.get(self.slot) {
            let (step, len) = (slot.step(), slot.len.unwrap_or(0).min(slot_len));
            let count = (len - self.byte).div_ceil(step).max(1);
            if slot.left_out(max_message) == 0 {
                if messages.left() == 0 || (!messages.is_empty() && messages.left() < count) {
                    return;
                }
                let base = self.slot * slot_len;
                for _ in 0..count.min(messages.left()) {
                    let end = (self.byte + step).min(len);
                    messages.add(base + self.byte..base + end, self.slot);
                    self.byte = end;
                }
                if self.byte < len {
                    return;
                }
            }
            self.slot += 1;
            self.byte = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SLOT: usize = 256;

    /// What fills show, in order: slot and bytes.
    fn shown(slots: &[Slot], max_message: usize, at_once: usize) -> Vec<(usize, Vec<u8>)> {
        let mut messages = Batch::new(at_once, slots.len() * SLOT);
        for (at, byte) in messages.buffer().iter_mut().enumerate() {
            *byte = at as u8;
        }
        let (mut window, mut shown) = (Window::default(), Vec::new());
        loop {
            window.fill(slots, SLOT, max_message, &mut messages);
            if messages.is_empty() {
                return shown;
            }
            shown.extend(
                (0..messages.len()).map(|at| (messages.tag(at), messages.get(at).to_vec())),
            );
        }
    }

    fn slot() -> impl Strategy<Value = Slot> {
        let len = prop::option::weighted(0.9, 0..=SLOT);
        (len, prop::option::of(1..300_usize)).prop_map(|(len, segment)| Slot { len, segment })
    }

    proptest! {
        /// Every datagram is shown once, whole and in order, but those that are too long.
        #[test]
        fn shows_all(slots in prop::collection::vec(slot(), 0..12), max_message in 1..300_usize, at_once in 1..20_usize) {
            let mut expected = Vec::new();
            for (number, slot) in slots.iter().enumerate() {
                let Some(len) = slot.len else { continue };
                let bytes: Vec<u8> = (0..len).map(|at| (number * SLOT + at) as u8).collect();
                let step = slot.segment.unwrap_or(SLOT);
                if step.min(len) > max_message {
                    continue;
                }
                match len {
                    0 => expected.push((number, Vec::new())),
                    _ => expected.extend(bytes.chunks(step).map(|piece| (number, piece.to_vec()))),
                }
            }
            prop_assert_eq!(shown(&slots, max_message, at_once), expected);
        }
    }

    #[test]
    fn a_slot_is_not_shown_in_two_parts_if_one_window_holds_it() {
        let slots = [Slot { len: Some(30), segment: Some(10) }; 3];
        let mut messages = Batch::new(7, 3 * SLOT);
        let mut window = Window::default();
        window.fill(&slots, SLOT, 100, &mut messages);
        assert_eq!(messages.len(), 6);
        window.fill(&slots, SLOT, 100, &mut messages);
        assert_eq!(messages.len(), 3);
    }
}
