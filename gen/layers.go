package gen

// Kind is what a layer of a packet is.
type Kind uint8

// The layers that packets are made of.
const (
	Ethernet Kind = iota + 1
	VLAN          // IEEE 802.1Q tag
	SVLAN         // IEEE 802.1ad service tag: the outer one of QinQ
	ARP
	IPv4
	UDP
	TCP
	ICMP
	VXLAN   // RFC 7348; an Ethernet frame follows
	Payload // whatever comes last
)

// String returns the name that profiles use.
func (k Kind) String() string {
	if l := k.layer(); l != nil {
		return l.name
	}
	return "none"
}

// layer is what there is to know about a kind of layer.
type layer struct {
	name   string
	len    int  // of the header in bytes, without options
	below  Kind // what is put below it if something else, or nothing, is there
	over   []Kind
	main   string // the field that "vlan=7" gives a value to
	fields []field
}

// format is how the value of a field is written.
type format uint8

const (
	number format = iota
	address
	hardware
	boolean
	tcpFlags
	arpOp
	sumMode  // good, bad or none
	contents // of a payload: any text
)

// field is a field of a layer.
type field struct {
	name   string
	flat   string // the name that layers above may use; "": the same
	format format
	off    int // bytes from the start of the header to the word that it is in
	width  int // of that word in bytes; 0: the field is not at a fixed place, or no field on the wire
	shift  int // bits of the word below the field
	max    uint64
	def    uint64
	help   string
}

// fromAbove returns the name of the field for those who write it in a layer above.
func (f *field) fromAbove() string {
	if f.flat != "" {
		return f.flat
	}
	return f.name
}

// The values of a checksum field: right, wrong on purpose, or not computed.
const (
	sumGood = iota
	sumBad
	sumNone
)

const (
	max8  = 1<<8 - 1
	max16 = 1<<16 - 1
	max32 = 1<<32 - 1
	max48 = 1<<48 - 1
)

// kinds has what there is to know about each kind. Offsets are those of IEEE 802.3, RFC 826, 791, 768, 9293, 792 and 7348.
var kinds = [...]layer{
	Ethernet: {name: "eth", len: 14, over: []Kind{VXLAN}, fields: []field{
		{name: "dst", flat: "dmac", format: hardware, off: 0, width: 6, max: max48, help: "destination; default the next hop's"},
		{name: "src", flat: "smac", format: hardware, off: 6, width: 6, max: max48, help: "source; default the interface's"},
		{name: "type", flat: "-", off: 12, width: 2, max: max16, def: 0x88b5,
			help: "EtherType; default that of the next layer, 0x88b5 before a payload"},
	}},
	VLAN:  {name: "vlan", len: 4, below: Ethernet, over: []Kind{Ethernet, VLAN, SVLAN}, main: "id", fields: vlanFields(0x8100)},
	SVLAN: {name: "svlan", len: 4, below: Ethernet, over: []Kind{Ethernet, VLAN, SVLAN}, main: "id", fields: vlanFields(0x88a8)},
	ARP: {name: "arp", len: 28, below: Ethernet, over: []Kind{Ethernet, VLAN, SVLAN}, fields: []field{
		{name: "op", format: arpOp, off: 6, width: 2, max: max16, def: 1, help: "request, reply, or a number; default request"},
		{name: "sha", format: hardware, off: 8, width: 6, max: max48, help: "sender's hardware address; default the interface's"},
		{name: "spa", format: address, off: 14, width: 4, max: max32, help: "sender's protocol address; default the interface's"},
		{name: "tha", format: hardware, off: 18, width: 6, max: max48, help: "target's hardware address; default zero"},
		{name: "tpa", format: address, off: 24, width: 4, max: max32, help: "target's protocol address; default the target's"},
	}},
	IPv4: {name: "ipv4", len: 20, below: Ethernet, over: []Kind{Ethernet, VLAN, SVLAN}, fields: []field{
		{name: "src", format: address, off: 12, width: 4, max: max32, help: "source; default the interface's"},
		{name: "dst", format: address, off: 16, width: 4, max: max32, help: "destination; default the target's"},
		{name: "ttl", off: 8, width: 1, max: max8, def: 64, help: "time to live; default 64"},
		{name: "tos", off: 1, width: 1, max: max8, help: "type of service, the whole byte; default 0"},
		{name: "dscp", off: 1, width: 1, shift: 2, max: 63, help: "differentiated services code point; default 0"},
		{name: "ecn", off: 1, width: 1, max: 3, help: "explicit congestion notification; default 0"},
		{name: "id", off: 4, width: 2, max: max16, help: "identification; default 0"},
		{name: "df", format: boolean, off: 6, width: 2, shift: 14, max: 1, help: "don't fragment; default off"},
		{name: "mf", format: boolean, off: 6, width: 2, shift: 13, max: 1, help: "more fragments; default off"},
		{name: "frag", off: 6, width: 2, max: 1<<13 - 1, help: "fragment offset in units of 8 bytes; default 0"},
		{name: "proto", off: 9, width: 1, max: max8, def: 253, help: "protocol; default that of the next layer, 253 before a payload"},
		{name: "checksum", flat: "-", format: sumMode, max: sumBad, help: "good or bad; default good"},
	}},
	UDP: {name: "udp", len: 8, below: IPv4, over: []Kind{IPv4}, fields: []field{
		{name: "sport", off: 0, width: 2, max: max16, def: 1024, help: "source port; default 1024"},
		{name: "dport", off: 2, width: 2, max: max16, def: 9, help: "destination port; default 9 (discard), 4789 before vxlan"},
		{name: "checksum", flat: "-", format: sumMode, max: sumNone, help: "good, bad, or none (zero); default good, none before vxlan"},
	}},
	TCP: {name: "tcp", len: 20, below: IPv4, over: []Kind{IPv4}, fields: []field{
		{name: "sport", off: 0, width: 2, max: max16, def: 1024, help: "source port; default 1024"},
		{name: "dport", off: 2, width: 2, max: max16, def: 80, help: "destination port; default 80"},
		{name: "seq", off: 4, width: 4, max: max32, help: "sequence number; default 0"},
		{name: "ack", off: 8, width: 4, max: max32, help: "acknowledgment number; default 0"},
		{name: "flags", format: tcpFlags, off: 13, width: 1, max: max8, def: 2,
			help: "names joined by + (fin syn rst psh ack urg ece cwr), none, or a number; default syn"},
		{name: "window", off: 14, width: 2, max: max16, def: 65535, help: "window; default 65535"},
		{name: "urgent", off: 18, width: 2, max: max16, help: "urgent pointer; default 0"},
		{name: "mss", max: max16, help: "option: maximum segment size; default absent"},
		{name: "sack", format: boolean, max: 1, help: "option: SACK permitted; default absent"},
		{name: "ts", max: max32, help: "option: timestamp value, with an echo of 0; default absent"},
		{name: "ws", max: 14, help: "option: window scale; default absent"},
		{name: "checksum", flat: "-", format: sumMode, max: sumBad, help: "good or bad; default good"},
	}},
	ICMP: {name: "icmp", len: 8, below: IPv4, over: []Kind{IPv4}, fields: []field{
		{name: "type", off: 0, width: 1, max: max8, def: 8, help: "type; default 8, echo request"},
		{name: "code", off: 1, width: 1, max: max8, help: "code; default 0"},
		{name: "id", off: 4, width: 2, max: max16, help: "identifier of an echo, the third 16-bit word of others; default 0"},
		{name: "seq", off: 6, width: 2, max: max16, help: "sequence number of an echo, the fourth word of others; default 0"},
		{name: "checksum", flat: "-", format: sumMode, max: sumBad, help: "good or bad; default good"},
	}},
	VXLAN: {name: "vxlan", len: 8, below: UDP, over: []Kind{UDP}, main: "vni", fields: []field{
		{name: "vni", off: 4, width: 4, shift: 8, max: 1<<24 - 1, help: "network identifier; default 0"},
	}},
	Payload: {name: "payload", below: Ethernet, over: []Kind{Ethernet, VLAN, SVLAN, IPv4, UDP, TCP, ICMP}, fields: []field{
		{name: "text", flat: "-", format: contents, help: "these characters, repeated as the size asks"},
		{name: "hex", flat: "-", format: contents, help: "these bytes in hexadecimal digits, repeated as the size asks"},
		{name: "fill", flat: "-", max: max8, help: "this byte; default 0"},
		{name: "random", flat: "-", max: 1<<63 - 1, help: "random bytes of this seed, the same in all packets"},
		{name: "len", flat: "-", max: max16, help: "bytes of payload, where the stream has no size"},
	}},
}

func vlanFields(tpid uint64) []field {
	return []field{
		{name: "id", flat: "-", width: 2, max: 4095, help: "VLAN identifier; default 0"},
		{name: "type", flat: "-", off: 2, width: 2, max: max16, def: 0x88b5,
			help: "EtherType behind the tag; default that of the next layer, 0x88b5 before a payload"},
		{name: "prio", width: 2, shift: 13, max: 7, help: "priority; default 0"},
		{name: "dei", format: boolean, width: 2, shift: 12, max: 1, help: "drop eligible; default off"},
		{name: "tpid", flat: "-", max: max16, def: tpid,
			help: "protocol identifier, the EtherType before the tag; default as its standard has it"},
	}
}

// layer returns what there is to know about a kind, or nil.
func (k Kind) layer() *layer {
	if k == 0 || int(k) >= len(kinds) {
		return nil
	}
	return &kinds[k]
}

// kindNamed returns the kind with a name, or 0.
func kindNamed(name string) Kind {
	for k := range kinds {
		if kinds[k].name == name {
			return Kind(k)
		}
	}
	return 0
}

// field returns the field with a name, or nil. The fields u8@N, u16@N and u32@N of a payload are made as they are asked for.
func (k Kind) field(name string) *field {
	l := k.layer()
	for i := range l.fields {
		if l.fields[i].name == name {
			return &l.fields[i]
		}
	}
	if k == Payload {
		return payloadField(name)
	}
	return nil
}

// isOver reports whether a layer of this kind may follow one of kind below; 0 is none.
func (k Kind) isOver(below Kind) bool {
	if below == 0 {
		return k == Ethernet
	}
	for _, o := range k.layer().over {
		if o == below {
			return true
		}
	}
	return false
}

// etherType and protocol are what the layer below says that this one is; 0: nothing.
func (k Kind) etherType() uint64 {
	switch k {
	case ARP:
		return 0x0806
	case IPv4:
		return 0x0800
	}
	return 0
}

func (k Kind) protocol() uint64 {
	switch k {
	case ICMP:
		return 1
	case TCP:
		return 6
	case UDP:
		return 17
	}
	return 0
}
