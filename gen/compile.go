package gen

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"net/netip"
	"slices"

	"github.com/xdpstack/xdpstack/ethernet"
	"github.com/xdpstack/xdpstack/ipv4"
)

// Options are what Compile needs to know beside the streams. The zero value has one worker.
type Options struct {
	Worker, Workers int           // which worker of how many, at most 256; 0 of 0 means the only one
	Source, Target  ethernet.Addr // of packets whose stream does not give MAC addresses
	SourceIP        netip.Addr    // of packets whose stream has no source address
	TargetIP        netip.Addr    // likewise the destination
	MTU             int           // bytes; packets that are longer behind the Ethernet header and tags are refused. 0: any length
}

const (
	maxStreams = 256 // a signature has 8 bits for them
	maxWorkers = 256
	maxWeight  = 1 << 20
)

// Errors of Compile.
var (
	ErrStreams = errors.New("gen: expected 1 to 256 streams")
	ErrWorkers = errors.New("gen: expected a worker from 0 to less than the number of workers, which is at most 256")
	ErrMTU     = errors.New("gen: packets longer than the link takes")
	ErrAddress = errors.New("gen: no address")
	ErrStream  = errors.New("gen: stream that contradicts itself")
)

// Compile makes the program of one worker. All that was told of a stream by ParseStream or LoadProfile is verified again, as it may
// have been changed since.
func Compile(streams []Stream, o Options) (*Program, error) {
	if len(streams) == 0 || len(streams) > maxStreams {
		return nil, fmt.Errorf("%w, got %d", ErrStreams, len(streams))
	}
	o.Workers = max(o.Workers, 1)
	if o.Worker < 0 || o.Worker >= o.Workers || o.Workers > maxWorkers {
		return nil, fmt.Errorf("%w, got %d of %d", ErrWorkers, o.Worker, o.Workers)
	}
	p := &Program{streams: make([]stream, len(streams))}
	weights := make([]int, len(streams))
	for i := range streams {
		c := compiler{s: &streams[i], o: o, out: &p.streams[i]}
		if err := c.compile(i); err != nil {
			return nil, err
		}
		weights[i] = max(streams[i].Weight, 1)
		p.maxLen = max(p.maxLen, c.out.maxLen())
	}
	n := uint32(0)
	for i := range p.streams {
		for j := range p.streams[i].variants {
			p.streams[i].variants[j].index = n
			n++
		}
	}
	reduced, ok := reduce(weights)
	if !ok {
		return nil, fmt.Errorf("%w: the weights are too far apart: expected at least 1 packet of %d of each", ErrStream, maxRound)
	}
	p.round = interleave(reduced)
	for _, i := range p.round {
		p.meanLen += p.streams[i].meanLen() / float64(len(p.round))
	}
	p.Reset()
	return p, nil
}

// reduce returns weights in the same proportion that add up to few enough for a round, or nearly so. It reports false if one of them
// would not have a packet in it.
func reduce(weights []int) (w []int, ok bool) {
	divisor, total := 0, 0
	for _, w := range weights {
		for a := w; a != 0; { // Euclid's
			divisor, a = a, divisor%a
		}
		total += w
	}
	w = slices.Clone(weights)
	for i := range w {
		if w[i] /= divisor; total/divisor > maxRound {
			w[i] = max(int(math.Round(float64(weights[i])*maxRound/float64(total))), 1)
			if weights[i]*maxRound < total {
				return nil, false
			}
		}
	}
	return w, true
}

// compiler makes one stream of a program.
type compiler struct {
	s      *Stream
	o      Options
	l      *layout
	out    *stream
	orders []int     // of the operations: when their field was written
	checks []check16 // the innermost first, those that do not vary too
}

func (c *compiler) errorf(err error, field, format string, args ...any) error {
	name := c.s.Name
	if name != "" {
		name = fmt.Sprintf(" %q", name)
	}
	return fmt.Errorf("%w: stream%s: %s: %s", err, name, field, fmt.Sprintf(format, args...))
}

// compile makes the stream with the given index.
func (c *compiler) compile(index int) error {
	l, problems := c.s.layout()
	for _, p := range problems {
		return c.errorf(ErrStream, p.path(c.s), "%s", p.text)
	}
	c.l = l
	head := make([]byte, l.headers)
	for i := range l.layers {
		if err := c.header(head, &l.layers[i]); err != nil {
			return err
		}
	}
	if last := c.s.Layers[len(c.s.Layers)-1]; last.Kind == Payload {
		for i := range last.Fields {
			f := &last.Fields[i]
			if g := Payload.field(f.Name); g.width > 0 {
				c.vary(f.Values, l.headers+g.off, g.width, 0, 0, f.order)
			}
		}
	}
	if len(c.out.ops) > maxOps {
		return c.errorf(ErrStream, "layer", "%d fields vary: expected at most %d", len(c.out.ops), maxOps)
	}
	c.findChecks()
	c.order()
	c.out.seed = mix(c.s.Seed + uint64(index+1)*golden)
	c.out.worker, c.out.workers = uint64(c.o.Worker), uint64(c.o.Workers)
	c.out.turn, c.out.random = l.turn, l.random
	c.out.slotStep = c.o.Workers % len(l.turn)
	c.out.signed = l.sign
	c.out.sigHead = Signature{Worker: uint8(c.o.Worker), Stream: uint8(index)}.head()
	return c.variants(head)
}

// header writes what does not vary of a header, but for lengths and checksums, and notes what varies.
func (c *compiler) header(head []byte, p *placed) error {
	b := head[p.off : p.off+p.len]
	switch p.Kind {
	case IPv4:
		b[0] = 4<<4 | ipv4.MinHeaderLen/4
	case ARP:
		copy(b, []byte{0, 1, 8, 0, 6, 4}) // Ethernet, IPv4, and the lengths of their addresses
	case TCP:
		b[12] = byte(p.len / 4 << 4)
		copy(b[20:], p.tcpOptions())
	case VXLAN:
		b[0] = 8 // the VNI is valid
	}
	fields := p.Kind.layer().fields
	constants := map[int]uint64{} // of each word, by its offset
	for i := range fields {
		f := &fields[i]
		if f.width == 0 {
			continue
		}
		v, err := c.value(p, f)
		if err != nil {
			return err
		}
		if !v.varies() {
			constants[f.off] |= v.first() << f.shift
		}
	}
	for i := range fields {
		f := &fields[i]
		if f.width == 0 {
			continue
		}
		if g := p.get(f.name); g != nil && g.Values.varies() {
			c.vary(g.Values, p.off+f.off, f.width, f.shift, constants[f.off], g.order)
			delete(constants, f.off)
		}
	}
	for i := range fields {
		if f := &fields[i]; f.width > 0 {
			if v, ok := constants[f.off]; ok {
				store(b[f.off:], f.width, v)
			}
		}
	}
	return nil
}

// value returns the values of a field that is on the wire.
func (c *compiler) value(p *placed, f *field) (Values, error) {
	if g := p.get(f.name); g != nil {
		return g.Values, nil
	}
	switch {
	case f.format == address:
		a := c.o.TargetIP
		if f.name == "src" || f.name == "spa" {
			a = c.o.SourceIP
		}
		if !a.Is4() {
			return Values{}, c.errorf(ErrAddress, p.Kind.String()+"."+f.name, "expected %s=ADDRESS", f.name)
		}
		return constant(fromAddr(a)), nil
	case f.format == hardware && f.name == "tha":
		return constant(0), nil
	case f.format == hardware && f.name == "dst" && p.next == ARP:
		return constant(ethernet.Broadcast.Uint64()), nil
	case f.format == hardware && f.name == "dst":
		return constant(c.o.Target.Uint64()), nil
	case f.format == hardware:
		return constant(c.o.Source.Uint64()), nil
	case p.next == Payload:
	case f.name == "type" && (p.next == VLAN || p.next == SVLAN):
		return constant(c.tpid(p)), nil
	case f.name == "type" && p.Kind != ICMP:
		return constant(p.next.etherType()), nil
	case f.name == "proto":
		return constant(p.next.protocol()), nil
	case f.name == "dport" && p.next == VXLAN:
		return constant(4789), nil
	}
	return constant(f.def), nil
}

// tpid returns the protocol identifier of the tag behind p.
func (c *compiler) tpid(p *placed) uint64 {
	for i := range c.l.layers {
		if next := &c.l.layers[i]; next.off == p.off+p.len {
			if f := next.get("tpid"); f != nil {
				return f.Values.first()
			}
			return next.Kind.field("tpid").def
		}
	}
	return 0
}

// vary notes an operation for a field that varies, in a word whose other bits are rest.
func (c *compiler) vary(v Values, off, width, shift int, rest uint64, order int) {
	if !v.varies() {
		v.random = false
	}
	o := op{off: off, width: uint8(width), count: v.count(), base: rest}
	if (off+width)%2 != 0 {
		o.odd = 8
	}
	if len(v.spans) == 1 {
		o.base |= v.first() << shift
		o.step = v.spans[0].step << shift
	} else {
		for _, x := range v.list() {
			o.list = append(o.list, rest|x<<shift)
		}
	}
	switch {
	case v.random:
		o.how = random
	case o.list != nil || o.odd != 0 || width != 2 && width != 4:
		o.how = stepping
	}
	c.out.ops = append(c.out.ops, o)
	c.orders = append(c.orders, order)
}

// order sets how often each field goes on to its next value: with every packet, or when all that were written after it have gone round.
func (c *compiler) order() {
	byOrder := make([]int, len(c.out.ops))
	for i := range byOrder {
		byOrder[i] = i
	}
	slices.SortFunc(byOrder, func(a, b int) int { return c.orders[b] - c.orders[a] })
	every := uint64(1)
	for _, i := range byOrder {
		o := &c.out.ops[i]
		o.salt = mix(uint64(c.orders[i]))
		o.every = 1
		if !c.s.Nested || o.how == random {
			continue
		}
		if o.every = every; every > 1 {
			o.how = nested
		}
		high, low := bits.Mul64(every, o.count)
		if every = low; high != 0 {
			every = math.MaxUint64
		}
	}
}

// variants makes the templates, one for each size.
func (c *compiler) variants(head []byte) error {
	longest, total := 0, 0
	for _, n := range c.l.sizes {
		longest = max(longest, int(n))
		total += int(n)
	}
	if c.o.MTU > 0 && longest > c.o.MTU+c.l.linkLen() {
		return c.errorf(ErrMTU, "size", "%d bytes with the frame check sequence, expected at most %d for an MTU of %d",
			longest+FCSLen, c.o.MTU+c.l.linkLen()+FCSLen, c.o.MTU)
	}
	whole := total <= wholeTemplates
	image := make([]byte, longest)
	rest := make([]byte, longest-c.l.headers)
	c.l.content.fill(rest)
	for _, n := range c.l.sizes {
		end := c.l.end(c.s, int(n))
		b := image[:n]
		copy(b, head)
		copy(b[c.l.headers:end], rest)
		clear(b[end:])
		if c.l.sign {
			clear(b[end-SignatureLen:])
		}
		c.clearOps(b)
		c.lengths(b, end)
		v := variant{len: int32(n), end: int32(end)}
		i := 0
		for k := range c.checks {
			sum := c.checks[k].constant(b, end)
			if c.checks[k].varies {
				v.sums[i] = sum
				i++
			} else {
				store(b[c.checks[k].field:], 2, uint64(c.checks[k].finish(sum)))
			}
		}
		kept := c.l.headers
		if whole || end < int(n) || n <= shortTemplate {
			kept = int(n)
		}
		v.head = slices.Clone(b[:kept])
		v.rest = rest[:int(n)-kept]
		c.out.variants = append(c.out.variants, v)
	}
	return nil
}

// wholeTemplates is up to how many bytes the templates of a stream are kept whole, and not as headers of their own and a payload that
// all have in common. They are to stay in the processor's second cache. Those of at most shortTemplate bytes always are.
const (
	wholeTemplates = 64 << 10
	shortTemplate  = 128
)

// linkLen returns the length of the outermost Ethernet header and its tags.
func (l *layout) linkLen() int {
	for _, p := range l.layers[1:] {
		if p.Kind != VLAN && p.Kind != SVLAN {
			return p.off
		}
	}
	return l.headers
}

// clearOps makes zero what varies: a payload may have something there.
func (c *compiler) clearOps(b []byte) {
	for _, o := range c.out.ops {
		clear(b[o.off : o.off+int(o.width)])
	}
}

// lengths writes the length fields of a packet whose payload ends at end.
func (c *compiler) lengths(b []byte, end int) {
	for _, p := range c.l.layers {
		switch p.Kind {
		case IPv4:
			store(b[p.off+2:], 2, uint64(end-p.off))
		case UDP:
			store(b[p.off+4:], 2, uint64(end-p.off))
		}
	}
}

// store writes the low bytes of v in big-endian order.
func store(b []byte, width int, v uint64) {
	for i := width - 1; i >= 0; i-- {
		b[i] = byte(v)
		v >>= 8
	}
}
