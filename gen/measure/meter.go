package measure

import (
	"errors"
	"fmt"

	"github.com/xdpstack/xdpstack/gen"
)

// Config says what is measured. Zero fields mean the defaults.
type Config struct {
	Streams     int      // most streams of workers that are measured, at most 4096; default 64, or as many as are Known
	Known       []uint16 // the only streams there are (gen.Signature.ID); default any
	Window      int      // sequence numbers that are remembered of each, at most 2^24; rounded up to a power of two; default 32768
	NoChecksums bool     // believe packets without a look at their checksums
}

// ErrConfig is what New wraps when it refuses.
var ErrConfig = errors.New("measure: unusable configuration")

const (
	defaultStreams = 64
	maxStreams     = 4096
	defaultWindow  = 32768
	maxWindow      = 1 << 24
)

// Meter measures packets. It is for one goroutine.
type Meter struct {
	cfg     Config
	counts  Counts // but those of streams
	streams []*stream
	index   []uint16 // by the stream's ID: one more than its place in streams, or 0
}

// New makes a Meter.
func New(cfg Config) (*Meter, error) {
	if cfg.Streams == 0 {
		cfg.Streams = defaultStreams
		if len(cfg.Known) > 0 {
			cfg.Streams = len(cfg.Known)
		}
	}
	if cfg.Window == 0 {
		cfg.Window = defaultWindow
	}
	if cfg.Streams < 1 || cfg.Streams > maxStreams || len(cfg.Known) > cfg.Streams {
		return nil, fmt.Errorf("%w: %d streams of which %d are known, want 1 to %d", ErrConfig, cfg.Streams, len(cfg.Known), maxStreams)
	}
	if cfg.Window < 1 || cfg.Window > maxWindow {
		return nil, fmt.Errorf("%w: a window of %d, want 1 to %d", ErrConfig, cfg.Window, maxWindow)
	}
	m := &Meter{cfg: cfg, index: make([]uint16, 1<<16)}
	for _, id := range cfg.Known {
		if m.index[id] == 0 {
			m.add(id)
		}
	}
	return m, nil
}

// add begins to measure a stream.
func (m *Meter) add(id uint16) *stream {
	s := &stream{id: id, hists: newHistograms()}
	s.window.init(wordsOf(m.cfg.Window))
	m.streams = append(m.streams, s)
	m.index[id] = uint16(len(m.streams))
	return s
}

// Packet measures a packet, which begins with its Ethernet header. It came at a time in ns, by CLOCK_TAI, or with device by the network
// card's clock.
func (m *Meter) Packet(packet []byte, at uint64, device bool) {
	m.counts.Packets++
	m.counts.Bytes += uint64(len(packet))
	if !m.cfg.NoChecksums && !intact(packet) {
		m.counts.BadChecksum++
		return
	}
	signature, ok := gen.FindSignature(packet)
	if !ok {
		m.counts.NoSignature++
		return
	}
	s := m.stream(signature.ID())
	if s == nil {
		return
	}
	s.input(arrival{Signature: signature, at: at, device: device})
}

// stream returns the stream with an ID; nil, and it is counted, if that is not measured.
func (m *Meter) stream(id uint16) *stream {
	if n := m.index[id]; n != 0 {
		return m.streams[n-1]
	}
	switch {
	case len(m.cfg.Known) > 0:
		m.counts.Foreign++
		return nil
	case len(m.streams) == m.cfg.Streams:
		m.counts.TooManyStreams++
		return nil
	}
	return m.add(id)
}
