//! Reading and writing.

use std::io::ErrorKind;
use std::task::{Poll, Waker};

use super::connection::{Connection, EndId, Fate, PieceKind, Side, Writing};
use super::link::{Link, Place};
use super::{NetDue, Network};
use crate::choice::ChoiceFamily;
use crate::fault::FaultFamily;
use crate::kernel::{Kernel, Wait};

impl Network {
    /// Hands what has arrived to `take`, which gets at least one byte and tells how many it took, at most `room`.
    /// 0 is the end of the stream, or no room. If nothing has, wakes `waker` when something does.
    ///
    /// # Errors
    ///
    /// What the end failed with; `NotConnected` if it was closed.
    pub(crate) fn read<E: From<NetDue>>(
        &mut self,
        kernel: &mut Kernel<E>,
        end: EndId,
        room: usize,
        take: impl FnOnce(&[u8]) -> usize,
        waker: impl FnOnce() -> Waker,
    ) -> Poll<Result<usize, ErrorKind>> {
        let Some(mut connection) = self.connections.get_mut(end.connection) else {
            return Poll::Ready(Err(ErrorKind::NotConnected));
        };
        let mut most = match readable(connection, end.side, room) {
            Poll::Ready(Ok(most)) if most > 0 => most,
            Poll::Pending => {
                connection.wait_to_read(kernel, end.side, waker());
                return Poll::Pending;
            }
            over @ Poll::Ready(_) => return over,
        };
        if self.settings.chaos.is_on {
            most = match self.read_faults(kernel, end, most) {
                Ok(most) => most,
                Err(kind) => return Poll::Ready(Err(kind)),
            };
            connection =
                self.connections.get_mut(end.connection).expect("a fault that was not told ends none");
        }
        let writer = end.side.other();
        let flow = connection.flow_mut(writer);
        let count = take(&flow.readable()[..most]);
        flow.advance(count);
        if connection.end(writer).writer.is_some() {
            self.tell_window(kernel, end.other());
        }
        Poll::Ready(Ok(count))
    }

    /// What faults leave of a read of `count` bytes.
    fn read_faults<E: From<NetDue>>(
        &mut self,
        kernel: &mut Kernel<E>,
        end: EndId,
        count: usize,
    ) -> Result<usize, ErrorKind> {
        let connection = self.connections.get(end.connection).expect("it has bytes to read");
        if connection.is_stable {
            return Ok(count);
        }
        let state = connection.end(end.side);
        let (node, link, number) = (state.node, state.link, connection.number);
        let way_in = connection.end(end.side.other()).link;
        self.roll_close(kernel, end)?;
        self.roll_clog(kernel, end.other(), link);
        let chaos = &self.settings.chaos;
        let place = way_in.place(Place::PartialRead);
        let most = part_of(kernel, place, chaos.partial_read, chaos.partial_read_max, count);
        if most < count {
            kernel.fault(FaultFamily::PartialRead, Some(node), || {
                format!("connection {number}: {most} of {count} bytes")
            });
        }
        Ok(most)
    }

    /// Sends at least one byte from the front of `bytes`, and tells how many were taken; none only if it is empty. If
    /// there is no room, wakes `waker` when there is.
    ///
    /// # Errors
    ///
    /// `BrokenPipe` if the stream was ended, what the end failed with, `NotConnected` if it was closed.
    pub(crate) fn write<E: From<NetDue>>(
        &mut self,
        kernel: &mut Kernel<E>,
        end: EndId,
        bytes: &[u8],
        waker: impl FnOnce() -> Waker,
    ) -> Poll<Result<usize, ErrorKind>> {
        let written = self.write_what_fits(kernel, end, bytes);
        if written.is_pending()
            && let Some(connection) = self.connections.get_mut(end.connection)
        {
            connection.wait_to_write(kernel, end.side, waker());
        }
        written
    }

    /// As [`Self::write`], but who waits for room goes on to.
    #[inline]
    pub(super) fn write_what_fits<E: From<NetDue>>(
        &mut self,
        kernel: &mut Kernel<E>,
        end: EndId,
        bytes: &[u8],
    ) -> Poll<Result<usize, ErrorKind>> {
        let Some(connection) = self.connections.get_mut(end.connection) else {
            return Poll::Ready(Err(ErrorKind::NotConnected));
        };
        let way_back = &self.links[connection.end(end.side).way_in.0 as usize];
        let room = match room_to_write(connection, end.side, way_back, self.settings.limits.window) {
            Err(kind) => return Poll::Ready(Err(kind)),
            Ok(_) if bytes.is_empty() => return Poll::Ready(Ok(0)),
            Ok(0) => return Poll::Pending,
            Ok(room) => room,
        };
        let mut count = room.min(bytes.len());
        if self.settings.chaos.is_on {
            count = match self.write_faults(kernel, end, count) {
                Ok(count) => count,
                Err(kind) => return Poll::Ready(Err(kind)),
            };
        }
        self.send(kernel, end, PieceKind::Data, &bytes[..count]);
        Poll::Ready(Ok(count))
    }

    /// What faults leave of a write of `count` bytes.
    fn write_faults<E: From<NetDue>>(
        &mut self,
        kernel: &mut Kernel<E>,
        end: EndId,
        count: usize,
    ) -> Result<usize, ErrorKind> {
        let connection = self.connections.get(end.connection).expect("it can be written");
        let state = connection.end(end.side);
        let (node, link, number) = (state.node, state.link, connection.number);
        self.roll_partition(kernel, link);
        let connection = self.connections.get(end.connection).expect("a partition ends no connection");
        if connection.is_stable {
            return Ok(count);
        }
        self.roll_close(kernel, end)?;
        self.roll_clog(kernel, end, link);
        let chaos = &self.settings.chaos;
        let place = link.place(Place::PartialWrite);
        let most = part_of(kernel, place, chaos.partial_write, chaos.partial_write_max, count);
        if most < count {
            kernel.fault(FaultFamily::PartialWrite, Some(node), || {
                format!("connection {number}: {most} of {count} bytes")
            });
        }
        Ok(most)
    }

    /// Ends the stream to the peer, behind all that was written.
    ///
    /// # Errors
    ///
    /// What the end failed with; `NotConnected` if it was closed.
    pub(crate) fn shutdown<E: From<NetDue>>(
        &mut self,
        kernel: &mut Kernel<E>,
        end: EndId,
    ) -> Result<(), ErrorKind> {
        let connection = self.connections.get(end.connection).ok_or(ErrorKind::NotConnected)?;
        match connection.end(end.side) {
            state if !state.is_owned => Err(ErrorKind::NotConnected),
            state => {
                if let Fate::Failed(kind) = state.fate {
                    return Err(kind);
                }
                self.send_fin(kernel, end);
                Ok(())
            }
        }
    }

    /// The writer of `flow`, who waits, hears in a while that there is room; over a closed link not before it opens.
    pub(super) fn tell_window<E: From<NetDue>>(&mut self, kernel: &mut Kernel<E>, flow: EndId) {
        let Some(connection) = self.connections.get_mut(flow.connection) else { return };
        let way_back = connection.end(flow.side.other()).link;
        let link = &mut self.links[way_back.0 as usize];
        let state = connection.flow_mut(flow.side);
        if state.window.is_some() || link.is_closed() || link.is_held {
            return;
        }
        let nanos = link.transit(&mut kernel.choices, &self.settings, kernel.now, 0);
        state.window = Some(kernel.schedule(nanos, NetDue::Window(flow).into()));
    }

    /// The writer hears that there is room.
    pub(super) fn window_opened<E: From<NetDue>>(&mut self, kernel: &mut Kernel<E>, flow: EndId) {
        let Some(connection) = self.connections.get_mut(flow.connection) else { return };
        connection.flow_mut(flow.side).window = None;
        let link = &self.links[connection.end(flow.side.other()).link.0 as usize];
        // What comes over a link that was closed meanwhile is told again when it opens.
        if !link.is_closed() && !link.is_held {
            kernel.wake(connection.end_mut(flow.side).writer.take());
        }
    }
}

impl Connection {
    /// Wakes `waker` when the end at `side`, which has an owner, has something to read, or an attempt to connect is over.
    pub(super) fn wait_to_read<E>(&mut self, kernel: &mut Kernel<E>, side: Side, waker: Waker) {
        let connection = self.number;
        let state = self.end_mut(side);
        kernel.wait(match state.fate {
            Fate::Connecting => Wait::Connect { connection },
            _ => Wait::Read { connection },
        });
        kernel.discard(state.reader.replace(waker));
    }

    /// Wakes `waker` when the end at `side`, which has an owner, has room to write.
    fn wait_to_write<E>(&mut self, kernel: &mut Kernel<E>, side: Side, waker: Waker) {
        kernel.wait(Wait::Write { connection: self.number });
        kernel.discard(self.end_mut(side).writer.replace(waker));
    }
}

/// How many bytes can be read now by the end at `side`, at most `room`; none at the end of the stream.
fn readable(connection: &Connection, side: Side, room: usize) -> Poll<Result<usize, ErrorKind>> {
    let state = connection.end(side);
    if !state.is_owned {
        return Poll::Ready(Err(ErrorKind::NotConnected));
    }
    if room == 0 {
        return Poll::Ready(Ok(0));
    }
    if let Fate::Failed(kind) = state.fate {
        return Poll::Ready(Err(kind));
    }
    let flow = connection.flow(side.other());
    if flow.arrived == 0 && !flow.has_ended {
        return Poll::Pending;
    }
    Poll::Ready(Ok(flow.arrived.min(room)))
}

/// How many bytes there is room for, of the window of the flow that the end at `side` writes.
fn room_to_write(
    connection: &mut Connection,
    side: Side,
    way_back: &Link,
    window: usize,
) -> Result<usize, ErrorKind> {
    let state = connection.end(side);
    if !state.is_owned {
        return Err(ErrorKind::NotConnected);
    }
    if let Fate::Failed(kind) = state.fate {
        return Err(kind);
    }
    let flow = connection.flow_mut(side);
    if flow.writing != Writing::On {
        return Err(ErrorKind::BrokenPipe);
    }
    // What the reader tells comes at once while the writer does not wait for it, and not at all over a link that is
    // closed.
    if !way_back.is_closed() && !way_back.is_held {
        flow.credited = flow.read_offset;
    }
    let outstanding = usize::try_from(flow.outstanding()).unwrap_or(usize::MAX);
    Ok(window.saturating_sub(outstanding))
}

/// How many bytes of `count` an operation moves; at least 1, and `most` if `chance` has it.
fn part_of<E>(
    kernel: &mut Kernel<E>,
    place: u32,
    chance: crate::choice::Chance,
    most: u64,
    count: usize,
) -> usize {
    if count < 2 || !kernel.choices.happens(ChoiceFamily::Network, place, chance) {
        return count;
    }
    let most = usize::try_from(most).unwrap_or(usize::MAX).min(count - 1);
    let fewer = kernel.choices.pick(ChoiceFamily::Network, place, most as u64);
    // The plain outcome is the longest part.
    most - usize::try_from(fewer).expect("below a length")
}
