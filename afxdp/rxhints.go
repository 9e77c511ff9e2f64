package afxdp

import (
	"errors"

	"github.com/xdpstack/xdpstack/bpf"
	"github.com/xdpstack/xdpstack/frame"
)

// Hints are what was noted about a packet when it came: when that was, and the network card's hash.
type Hints = bpf.Hints

// loadHints loads and attaches an XDP program that notes hints: one that asks the driver (Linux 6.3, native mode) or else one
// that notes the kernel's time. After an error the interface has no program, unless the error has nothing to do with hints.
func (i *Interface) loadHints(at place, opt *Options, steer bpf.Config) error {
	m := &i.mode
	steer.Hints = true
	switch tells := i.info.RxMetadata; {
	case tells.Known() && !tells.Has(ReceiveTimestamp) && !tells.Has(ReceiveHash):
		m.NoDeviceHints = at.fail("load the XDP program", nil, nil, "the driver tells neither time nor hash: the time is the kernel's")
	case opt.Attach == bpf.AttachGeneric:
		m.NoDeviceHints = at.fail("load the XDP program", nil, nil, "in generic mode drivers tell nothing: the time is the kernel's")
	default:
		bound := steer
		bound.Device = i.info.Index
		err := i.loadAndAttach(at, bpf.AttachNative, bound)
		if err == nil {
			m.RxHints, m.DeviceHints = true, true
			return nil
		}
		m.NoDeviceHints = err
	}
	err := i.loadAndAttach(at, opt.Attach, steer)
	if errors.Is(err, bpf.ErrHints) {
		return at.fail("load the XDP program", ErrNoRxHints, err, "")
	}
	m.RxHints = err == nil
	return err
}

// Hints returns what was noted about a packet when it came, whose descriptor in Receive had this frame and offset. It reports
// false if that was nothing. The note is in front of the packet: it is there as long as nothing else was written there.
func (q *native) Hints(d frame.Desc) (Hints, bool) {
	if q.cookie == 0 || d.Off < bpf.HintsLen || int(d.Off) > q.pool.ChunkSize() {
		return Hints{}, false
	}
	return bpf.ReadHints((*[bpf.HintsLen]byte)(q.pool.Chunk(d.Frame)[d.Off-bpf.HintsLen:]), q.cookie)
}
