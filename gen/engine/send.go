package engine

import (
	"github.com/xdpstack/xdpstack/frame"
	"github.com/xdpstack/xdpstack/internal/clock"
)

// send hands over what is due, up to a batch, and returns how many packets that were. The error is of a link that is down or of a queue
// that is of no use.
func (w *worker) send(now clock.Time) (sent int, err error) {
	w.runs = w.runs[:0]
	if room := w.room(); room > 0 {
		if frames := w.fill(now, room); len(frames) > 0 {
			w.queue.Transmit(frames)
			for i := range frames {
				w.pool.Release(frames[i].Frame)
			}
		}
	} else if w.schedule.Due(now) > 0 && !w.down {
		w.own.RingFull++
	}
	// Without new packets, too: where frames are copied those that a full device has left in the ring go on only with a flush.
	err = w.queue.Flush()
	if w.down = err != nil; w.down {
		w.own.LinkDown++
		return 0, err
	}
	if len(w.runs) == 0 {
		return 0, nil
	}
	for i := range w.runs {
		sent += w.runs[i].packets
	}
	w.note(clock.Now())
	return sent, nil
}

// room returns how many packets can be handed over now: while the link is down none, for they would all leave when it is up again, and in
// copy mode few if there are others in the ring, which the device had no room for. What waits in the schedule can still be taken off it.
func (w *worker) room() int {
	room := w.queue.Room()
	if w.down || w.copying && w.ring-room >= len(w.descs) {
		return 0
	}
	if w.scratch != nil {
		room /= w.perPacket()
	}
	return min(room, w.batch)
}

// fill writes what is due into frames, up to so many packets.
func (w *worker) fill(now clock.Time, room int) []frame.Desc {
	out := w.descs[:0]
	for room > 0 {
		due := min(w.schedule.Due(now), room)
		if due == 0 {
			break
		}
		if w.warm && !w.schedule.Warm() {
			w.warm, w.base = false, w.all()
		}
		before := len(out)
		var packets, bytes int
		if w.scratch == nil {
			out, packets, bytes = w.write(out, due, w.tai.Convert(now))
		} else {
			out, packets, bytes = w.writeLarge(out, due, w.tai.Convert(now))
		}
		if packets == 0 {
			w.own.NoFrame++
			break
		}
		first, last := w.schedule.Sent(packets, bytes)
		if w.warm {
			first = 0 // how late it is does not count
		}
		w.runs = append(w.runs, run{packets, first, last})
		w.own.Packets += uint64(packets)
		w.own.Bytes += uint64(bytes)
		w.askStamp(&out[before], packets, first)
		room -= packets
	}
	return out
}

// write has packets written into a frame each.
func (w *worker) write(out []frame.Desc, packets int, now uint64) (_ []frame.Desc, written, bytes int) {
	if w.writer != nil {
		before := len(out)
		for range packets {
			f := w.pool.AllocHolding()
			if f == frame.None {
				break
			}
			out = append(out, frame.Desc{Frame: f, Off: offset})
		}
		return out, len(out) - before, w.writer.Write(w.pool, out[before:], now)
	}
	for range packets {
		f := w.pool.Alloc()
		if f == frame.None {
			break
		}
		n := w.source.Next(w.pool.Chunk(f)[offset:], now)
		out = append(out, frame.Desc{Frame: f, Off: offset, Len: uint32(n)})
		bytes += n
		written++
	}
	return out, written, bytes
}

// writeLarge has packets written that may be larger than a frame, and divides them.
func (w *worker) writeLarge(out []frame.Desc, packets int, now uint64) (_ []frame.Desc, written, bytes int) {
	for range packets {
		if w.pool.Free() < w.perPacket() {
			break
		}
		n := w.source.Next(w.scratch, now)
		for rest := w.scratch[:n]; len(rest) > 0; {
			f := w.pool.Alloc()
			k := copy(w.pool.Chunk(f)[offset:], rest)
			rest = rest[k:]
			d := frame.Desc{Frame: f, Off: offset, Len: uint32(k)}
			d.More = len(rest) > 0
			out = append(out, d)
		}
		bytes += n
		written++
	}
	return out, written, bytes
}

// note records how late the packets of the batch were handed over: those of a run one after the other, in even steps.
func (w *worker) note(at clock.Time) {
	for i := range w.runs {
		r := &w.runs[i]
		if r.first == 0 {
			continue
		}
		late := int64(at.Sub(r.first))
		step := int64(0)
		if r.packets > 1 {
			step = int64(r.last.Sub(r.first)) / int64(r.packets-1)
		}
		for range r.packets {
			_ = w.late.RecordValue(min(max(late, 0), longestLate)) // within its bounds
			late -= step
		}
	}
}
