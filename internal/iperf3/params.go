package iperf3

import (
	"fmt"

	"github.com/xdpstack/xdpstack/tcp"
)

// The limits of what a test may be, which are iperf3's.
const (
	MaxStreams   = 128
	MaxBlock     = 1 << 20 // bytes
	MaxTime      = 86400   // seconds
	MaxOmit      = 600     // seconds
	MaxWindow    = 512 << 20
	MaxMSS       = 9216
	DefaultBlock = 128 << 10
	DefaultTime  = 10 // seconds
	DefaultPort  = 5201
)

// Params are what a client asks for, in iperf3's JSON.
type Params struct {
	TCP             Flag   `json:"tcp,omitempty"`
	UDP             Flag   `json:"udp,omitempty"`
	SCTP            Flag   `json:"sctp,omitempty"`
	Omit            Number `json:"omit"`       // seconds at the beginning that do not count
	Time            Number `json:"time"`       // seconds; 0: until so many bytes or blocks were sent
	Num             Number `json:"num"`        // bytes
	Blocks          Number `json:"blockcount"` // blocks of Len bytes
	MSS             Number `json:"MSS,omitempty"`
	NoDelay         Flag   `json:"nodelay,omitempty"`
	Parallel        Number `json:"parallel"`
	Reverse         Flag   `json:"reverse,omitempty"`
	Bidirectional   Flag   `json:"bidirectional,omitempty"`
	Window          Number `json:"window,omitempty"`    // bytes of the socket buffers
	Len             Number `json:"len"`                 // bytes of a block
	Bandwidth       Number `json:"bandwidth,omitempty"` // bits/s of each stream
	FQRate          Number `json:"fqrate,omitempty"`    // bits/s, paced by TCP
	PacingTimer     Number `json:"pacing_timer,omitempty"`
	TOS             Number `json:"TOS,omitempty"`
	Title           string `json:"title,omitempty"`
	ExtraData       string `json:"extra_data,omitempty"`
	Congestion      string `json:"congestion,omitempty"`
	GetServerOutput Flag   `json:"get_server_output,omitempty"`
	ClientVersion   string `json:"client_version,omitempty"`
}

// check says why a server cannot do what is asked for.
func (p *Params) check() *refusal {
	no := func(code int32, format string, args ...any) *refusal {
		return &refusal{code: code, why: fmt.Sprintf(format, args...)}
	}
	within := func(name string, v, low, high Number, code int32) *refusal {
		if v < low || v > high {
			return no(code, "%s is %d, and may be %d to %d", name, v, low, high)
		}
		return nil
	}
	if p.UDP || p.SCTP || !p.TCP {
		return no(codeUnimplemented, "only TCP tests are served")
	}
	if p.Reverse && p.Bidirectional {
		return no(codeRecvParams, "the test is both reverse and bidirectional")
	}
	if _, err := tcp.ParseCongestion(p.Congestion); err != nil {
		return no(codeSetCongestion, "%.40q", p.Congestion)
	}
	const large = 1 << 62
	for _, r := range []*refusal{
		within("the number of streams", p.Parallel, 1, MaxStreams, codeNumStreams),
		within("the block", p.Len, 1, MaxBlock, codeBlockSize),
		within("the time", p.Time, 0, MaxTime, codeRecvParams),
		within("the omitted time", p.Omit, 0, MaxOmit, codeRecvParams),
		within("the number of bytes", p.Num, 0, large, codeRecvParams),
		within("the number of blocks", p.Blocks, 0, large/MaxBlock, codeRecvParams),
		within("the MSS", p.MSS, 0, MaxMSS, codeSetMSS),
		within("the window", p.Window, 0, MaxWindow, codeSetBuf),
		within("the rate", p.Bandwidth, 0, large, codeSetPacing),
		within("the rate", p.FQRate, 0, large, codeSetPacing),
		within("the TOS", p.TOS, 0, 255, codeRecvParams),
	} {
		if r != nil {
			return r
		}
	}
	return nil
}

// roles returns how many streams the client sends on and how many the server does.
func (p *Params) roles() (client, server int) {
	n := int(p.Parallel)
	switch {
	case bool(p.Bidirectional):
		return n, n
	case bool(p.Reverse):
		return 0, n
	}
	return n, 0
}

// limit returns after how many bytes the test ends, 0 if after a time.
func (p *Params) limit() int64 {
	if p.Blocks > 0 {
		return int64(p.Blocks) * int64(p.Len)
	}
	return int64(p.Num)
}

// Check says why a test with these parameters cannot be done, or returns nil.
func (p *Params) Check() error {
	if r := p.check(); r != nil {
		return r
	}
	return nil
}
