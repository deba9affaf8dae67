//! Received datagrams, some at a time: what lies in the slots that the kernel filled, cut into messages.

use crate::batch::Batch;

/// What the kernel put into a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// How many bytes; `None` if some are missing.
    pub len: Option<usize>,
    /// How long each of the datagrams is that lie there back to back, but for the last, which may be shorter; `None` if
    /// there is one.
    pub segment: Option<usize>,
}

impl Slot {
    /// How many bytes each datagram has.
    fn step(self) -> usize {
        self.segment.or(self.len).unwrap_or(0).max(1)
    }

    /// How many datagrams of it are longer than a message may be, or are not whole; then all of them are left out.
    pub fn left_out(self, max_message: usize) -> usize {
        match self.len {
            Some(len) if self.step().min(len) > max_message => len.div_ceil(self.step()),
            Some(_) => 0,
            None => 1,
        }
    }
}

/// How far slots have been shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Window {
    slot: usize,
    /// In that slot.
    byte: usize,
}

impl Window {
    /// Shows the messages that come next, tagged with the number of their slot, as many as `messages` has room for; none if
    /// all were shown. A slot is begun only if all of its messages fit, unless none fit otherwise. Slots lie `slot_len`
    /// bytes apart in the buffer of `messages`; a message longer than `max_message` bytes is left out.
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
