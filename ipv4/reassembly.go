package ipv4

import (
	"encoding/binary"
	"errors"
	"slices"
	"time"

	"github.com/xdpstack/xdpstack/internal/checksum"
	"github.com/xdpstack/xdpstack/internal/clock"
)

// ReassemblerConfig says how much a Reassembler holds. Zero fields mean the defaults. The memory that it takes at the start is
// about MaxDatagrams times MaxSize.
type ReassemblerConfig struct {
	MaxDatagrams int           // datagrams that wait for fragments, at most 256; default 16
	MaxPerSource int           // of them from one source address; default a quarter of MaxDatagrams
	MaxFragments int           // fragments of one datagram, at most 8192; default 128
	MaxSize      int           // bytes of one datagram, header included; default 65535
	Timeout      time.Duration // from the first fragment that arrived; default 30 s, as Linux has it
}

// ErrReassembler says that the configuration of a Reassembler cannot be meant.
var ErrReassembler = errors.New("ipv4: limits of a reassembler must not be negative, nor above 256 datagrams, 8192 fragments, 65535 bytes")

func (c ReassemblerConfig) withDefaults() (ReassemblerConfig, error) {
	if c.MaxDatagrams == 0 {
		c.MaxDatagrams = 16
	}
	if c.MaxPerSource == 0 {
		c.MaxPerSource = max(c.MaxDatagrams/4, 1)
	}
	if c.MaxFragments == 0 {
		c.MaxFragments = 128
	}
	if c.MaxSize == 0 {
		c.MaxSize = MaxLen
	}
	if c.Timeout == 0 {
		c.Timeout = 30 * time.Second
	}
	if c.MaxDatagrams < 0 || c.MaxDatagrams > 256 || c.MaxPerSource < 0 || c.MaxFragments < 0 || c.MaxFragments > 8192 ||
		c.MaxSize < MinMTU || c.MaxSize > MaxLen || c.Timeout < 0 {
		return c, ErrReassembler
	}
	return c, nil
}

// Reassembler puts datagrams together from fragments (RFC 791 section 3.2). It takes its memory at the start and does not grow:
// the oldest datagram makes room for a new one, and one source cannot take more than its share.
//
// Fragments that overlap make the whole datagram be dropped, as RFC 5722 has it for IPv6 and Linux for both: honest senders do not
// make them, and two hosts that resolve an overlap differently can be made to see different data. Only an exact repetition, which
// a network may make, is ignored.
type Reassembler struct {
	Stats ReassemblyStats

	cfg     ReassemblerConfig
	slots   []datagram
	order   []int32 // the slots in use, the oldest first
	expired []int32 // slots that timed out with a first fragment
	free    []int32
	spans   []span // MaxFragments for each slot
	buf     []byte // stride bytes for each slot
	stride  int
}

// datagram is one that waits for fragments. Its payload is at MaxHeaderLen in its buffer, the first fragment's header before it.
type datagram struct {
	deadline  clock.Time
	key       key
	total     int32 // bytes of payload in all, or -1 until the last fragment is here
	have      int32 // bytes of payload that are here
	spans     int32 // fragments that are here
	headerLen uint8 // of the first fragment, 0 until it is here
	ecn       uint8 // the ECN codes that were seen, as a set of bits
}

// key says which datagram a fragment is a part of (RFC 791 section 3.2, RFC 6864 section 4).
type key struct {
	src, dst Addr
	id       uint16
	proto    uint8
}

// span is the part of the payload that a fragment brought, in bytes. The end is exclusive.
type span struct{ start, end uint16 }

// NewReassembler returns an empty Reassembler.
func NewReassembler(cfg ReassemblerConfig) (*Reassembler, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	n := cfg.MaxDatagrams
	r := &Reassembler{
		cfg:     cfg,
		slots:   make([]datagram, n),
		order:   make([]int32, 0, n),
		expired: make([]int32, 0, n),
		free:    make([]int32, 0, n),
		spans:   make([]span, n*cfg.MaxFragments),
		stride:  MaxHeaderLen + cfg.MaxSize,
	}
	r.buf = make([]byte, n*r.stride)
	for i := range n {
		r.free = append(r.free, int32(n-1-i))
	}
	return r, nil
}

// Len returns how many datagrams wait for fragments.
func (r *Reassembler) Len() int { return len(r.order) }

// Input takes the fragment b with header h, which Parse has accepted. If it is the last one that was missing, Input returns the
// whole datagram, which Parse accepts again; otherwise nil. The datagram is in the Reassembler's own memory and valid until the
// next call of Input.
func (r *Reassembler) Input(b []byte, h *Header, now clock.Time) []byte {
	r.Stats.Fragments++
	i := r.find(key{h.Src, h.Dst, h.ID, h.Proto})
	if i < 0 {
		i = r.begin(h, now)
	}
	if why := r.add(i, b, h); why != nil {
		*why++
		r.drop(i)
		return nil
	}
	d := &r.slots[i]
	if d.headerLen == 0 || d.have != d.total {
		return nil
	}
	r.Stats.Reassembled++
	r.drop(i)
	return r.finish(i)
}

// find returns the slot of a datagram or -1.
func (r *Reassembler) find(k key) int32 {
	for _, i := range r.order {
		if r.slots[i].key == k {
			return i
		}
	}
	return -1
}

// begin takes a slot for the datagram that the fragment belongs to. Where there is none left, the oldest makes room.
func (r *Reassembler) begin(h *Header, now clock.Time) int32 {
	ofSource, oldest := 0, int32(-1)
	for _, i := range r.order {
		if r.slots[i].key.src == h.Src {
			if ofSource++; oldest < 0 {
				oldest = i
			}
		}
	}
	switch {
	case ofSource >= r.cfg.MaxPerSource:
		r.Stats.Evicted++
		r.drop(oldest)
	case len(r.free) > 0:
	case len(r.expired) > 0:
		r.free = append(r.free, r.expired[0])
		r.expired = slices.Delete(r.expired, 0, 1)
	default:
		r.Stats.Evicted++
		r.drop(r.order[0])
	}
	i := r.free[len(r.free)-1]
	r.free = r.free[:len(r.free)-1]
	r.order = append(r.order, i)
	r.slots[i] = datagram{deadline: now.Add(r.cfg.Timeout), key: key{h.Src, h.Dst, h.ID, h.Proto}, total: -1}
	return i
}

// drop gives the slot back. Its contents stay until the next call of Input.
func (r *Reassembler) drop(i int32) {
	at := slices.Index(r.order, i)
	r.order = slices.Delete(r.order, at, at+1)
	r.free = append(r.free, i)
}

// add puts the fragment in its place. If the datagram is to be dropped, it returns the counter for the reason.
func (r *Reassembler) add(i int32, b []byte, h *Header) (why *uint64) {
	d := &r.slots[i]
	payload := h.Payload(b)
	start := int32(h.FragOffset)
	end := start + int32(len(payload))
	header := max(d.headerLen, MinHeaderLen)
	if start == 0 {
		header = h.HeaderLen
	}
	if int(header)+int(max(end, d.total)) > r.cfg.MaxSize {
		return &r.Stats.TooLong
	}
	if d.ecn |= 1 << (h.TOS & ecnMask); d.ecn&(1<<ecnNot|1<<ecnCE) == 1<<ecnNot|1<<ecnCE {
		return &r.Stats.ECN
	}
	if !h.MF {
		if d.total >= 0 && d.total != end || d.spans > 0 && int32(r.spansOf(i)[d.spans-1].end) > end {
			return &r.Stats.Overlaps
		}
		d.total = end
	} else if d.total >= 0 && end > d.total {
		return &r.Stats.Overlaps
	}
	repeated, why := r.insert(i, span{uint16(start), uint16(end)})
	if why != nil || repeated {
		return why
	}
	d.have += end - start
	buf := r.bufOf(i)
	copy(buf[MaxHeaderLen+start:], payload)
	if start == 0 {
		d.headerLen = h.HeaderLen
		copy(buf[MaxHeaderLen-h.HeaderLen:], b[:h.HeaderLen])
	}
	return nil
}

// The ECN codes that matter (RFC 3168 section 5.3): a fragment that saw congestion marks the whole datagram, and an honest sender
// does not make fragments that can and that cannot be marked.
const (
	ecnMask = 3
	ecnNot  = 0
	ecnCE   = 3
)

// insert notes that the bytes of s are here, keeping the spans in order. They are not merged, so that a repetition can be told
// from an overlap. It returns the counter for the reason if the datagram is to be dropped.
func (r *Reassembler) insert(i int32, s span) (repeated bool, why *uint64) {
	d := &r.slots[i]
	spans := r.spansOf(i)
	at := int(d.spans)
	for at > 0 && spans[at-1].start >= s.start {
		at-- // from the end: fragments mostly come in order
	}
	switch {
	case at < int(d.spans) && spans[at] == s:
		r.Stats.Repeated++
		return true, nil
	case at < int(d.spans) && spans[at].start < s.end, at > 0 && spans[at-1].end > s.start:
		return false, &r.Stats.Overlaps
	case int(d.spans) == len(spans):
		return false, &r.Stats.TooMany
	}
	copy(spans[at+1:], spans[at:d.spans])
	spans[at] = s
	d.spans++
	return false, nil
}

// finish makes the header that of a whole datagram, and returns header and payload.
func (r *Reassembler) finish(i int32) []byte {
	d := &r.slots[i]
	hl := int(d.headerLen)
	b := r.bufOf(i)[MaxHeaderLen-hl : MaxHeaderLen+int(d.total)]
	if d.ecn&(1<<ecnCE) != 0 {
		b[1] |= ecnCE
	}
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	b[6], b[7] = b[6]&(flagDF>>8), 0
	b[10], b[11] = 0, 0
	binary.BigEndian.PutUint16(b[10:], checksum.Finish(checksum.Sum(b[:hl], 0)))
	return b
}

// spansOf returns the room for a slot's spans.
func (r *Reassembler) spansOf(i int32) []span {
	n := r.cfg.MaxFragments
	return r.spans[int(i)*n : int(i+1)*n]
}

// bufOf returns a slot's buffer.
func (r *Reassembler) bufOf(i int32) []byte {
	return r.buf[int(i)*r.stride : int(i+1)*r.stride]
}

// Deadline returns when Expire has something to do.
func (r *Reassembler) Deadline() clock.Time {
	if len(r.order) == 0 {
		return clock.Never
	}
	return r.slots[r.order[0]].deadline
}

// Expire drops the datagrams whose time is over. Those whose first fragment has arrived are then told by NextExpired.
func (r *Reassembler) Expire(now clock.Time) {
	for len(r.order) > 0 && !r.slots[r.order[0]].deadline.After(now) {
		i := r.order[0]
		r.Stats.Timeouts++
		if r.slots[i].headerLen == 0 {
			r.drop(i)
			continue
		}
		r.order = slices.Delete(r.order, 0, 1)
		r.expired = append(r.expired, i)
	}
}

// NextExpired returns the first fragment of a datagram that timed out, for a Time Exceeded message to its source (RFC 1122 section
// 3.3.2), or nil when there are no more. It is valid until the next call of Input.
func (r *Reassembler) NextExpired() []byte {
	if len(r.expired) == 0 {
		return nil
	}
	i := r.expired[0]
	r.expired = slices.Delete(r.expired, 0, 1)
	r.free = append(r.free, i)
	d := &r.slots[i]
	return r.bufOf(i)[MaxHeaderLen-int(d.headerLen) : MaxHeaderLen+int(r.spansOf(i)[0].end)]
}
