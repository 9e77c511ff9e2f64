package sim

import "github.com/xdpstack/xdpstack/frame"

// Pipe makes two devices that are joined to each other, in real time and without loss but for full rings. Each is used by one
// goroutine. Both have the same configuration, but for name and address, which are made up where they are not given.
func Pipe(cfg Config) (a, b *Device, err error) {
	ab, ba := &pipe{}, &pipe{}
	if a, err = newDevice(cfg, 0, ab); err != nil {
		return nil, nil, err
	}
	cfg.Name, cfg.HardwareAddr = "", [6]byte{}
	if b, err = newDevice(cfg, 1, ba); err != nil {
		return nil, nil, err
	}
	ab.to, ba.to = b, a
	return a, b, nil
}

// pipe is one direction of a Pipe: it copies on the sender's goroutine.
type pipe struct{ to *Device }

func (p *pipe) send(from *Device, b []byte, _ []frame.Desc) bool {
	p.to.deliver(b, &from.stats)
	return true
}

func (p *pipe) flushed(*Device) { p.to.deliveries() }
