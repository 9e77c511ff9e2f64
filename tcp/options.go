package tcp

import "encoding/binary"

// The kinds and lengths of options that this package knows.
const (
	optEnd           = 0
	optNOP           = 1
	optMSS           = 2 // RFC 9293 section 3.7.1
	optWScale        = 3 // RFC 7323 section 2
	optSACKPermitted = 4 // RFC 2018 section 2
	optSACK          = 5 // RFC 2018 section 3
	optTimestamps    = 8 // RFC 7323 section 3

	optMSSLen           = 4
	optWScaleLen        = 3
	optSACKPermittedLen = 2
	optTimestampsLen    = 10
)

// MaxWScale is the largest window shift. A larger one that a peer sends counts as this (RFC 7323 section 2.3).
const MaxWScale = 14

// MaxOptionsLen is the room for options in a header, in bytes.
const MaxOptionsLen = MaxHeaderLen - MinHeaderLen

// SACKBlock is a run of bytes that the receiver has, [Start, End).
type SACKBlock struct{ Start, End Seq }

// Options are the options of a segment. The zero value is not "no options", for a window shift of 0 is one: see Clear.
type Options struct {
	MSS           uint16 // 0: absent. Only with SYN
	WScale        int8   // -1: absent. Only with SYN
	SACKPermitted bool   // only with SYN
	HasTS         bool
	NumSACK       uint8 // how many of SACK are valid
	TSVal, TSEcr  uint32
	SACK          [4]SACKBlock
	FastOpen      uint8            // the kind of the Fast Open option (RFC 7413): 34, or 254, experimental; 0: absent. Only with SYN
	CookieLen     uint8            // the bytes of Cookie that are valid; 0: the option asks for a cookie
	Cookie        [MaxCookie]uint8 // of the Fast Open option
}

// Clear makes o mean "no options".
func (o *Options) Clear() {
	o.MSS, o.WScale, o.SACKPermitted, o.HasTS, o.NumSACK = 0, -1, false, false, 0
	o.TSVal, o.TSEcr = 0, 0
	o.FastOpen, o.CookieLen = 0, 0
}

// fastTimestamps is what the options of nearly every segment begin with: NOP, NOP, timestamps of length 10 (RFC 7323 appendix A).
// Together with their values they have timestampsLen bytes.
const (
	fastTimestamps = optNOP<<24 | optNOP<<16 | optTimestamps<<8 | optTimestampsLen
	timestampsLen  = 12
)

// parse reads the options in b. Options that belong on a SYN only are skipped elsewhere. It returns false, with what it had read
// until then, if an option is malformed: its length is wrong or reaches beyond b.
func (o *Options) parse(b []byte, syn bool) bool {
	o.Clear()
	if len(b) == timestampsLen && binary.BigEndian.Uint32(b) == fastTimestamps {
		o.HasTS = true
		o.TSVal = binary.BigEndian.Uint32(b[4:8])
		o.TSEcr = binary.BigEndian.Uint32(b[8:12])
		return true
	}
	for len(b) > 0 {
		kind := b[0]
		if kind == optEnd {
			return true
		}
		if kind == optNOP {
			b = b[1:]
			continue
		}
		if len(b) < 2 || b[1] < 2 || int(b[1]) > len(b) {
			return false
		}
		if !o.parseOne(kind, b[2:b[1]], syn) {
			return false
		}
		b = b[b[1]:]
	}
	return true
}

// parseOne reads the value v of one option.
func (o *Options) parseOne(kind byte, v []byte, syn bool) bool {
	switch kind {
	case optMSS:
		if len(v) != optMSSLen-2 {
			return false
		}
		if syn {
			o.MSS = binary.BigEndian.Uint16(v)
		}
	case optWScale:
		if len(v) != optWScaleLen-2 {
			return false
		}
		if syn {
			o.WScale = int8(min(v[0], MaxWScale))
		}
	case optSACKPermitted:
		if len(v) != optSACKPermittedLen-2 {
			return false
		}
		o.SACKPermitted = syn
	case optTimestamps:
		if len(v) != optTimestampsLen-2 {
			return false
		}
		o.HasTS = true
		o.TSVal = binary.BigEndian.Uint32(v)
		o.TSEcr = binary.BigEndian.Uint32(v[4:])
	case optSACK:
		return o.parseSACK(v, syn)
	case optFastOpen:
		if syn {
			o.takeCookie(kind, v)
		}
	case optFastOpenExp:
		if syn && len(v) >= 2 && binary.BigEndian.Uint16(v) == fastOpenMagic {
			o.takeCookie(kind, v[2:])
		}
	}
	return true
}

func (o *Options) parseSACK(v []byte, syn bool) bool {
	if len(v) == 0 || len(v)%8 != 0 || len(v) > 8*len(o.SACK) {
		return false
	}
	if syn {
		return true
	}
	o.NumSACK = uint8(len(v) / 8)
	for i := range int(o.NumSACK) {
		o.SACK[i].Start = Seq(binary.BigEndian.Uint32(v[8*i:]))
		o.SACK[i].End = Seq(binary.BigEndian.Uint32(v[8*i+4:]))
	}
	return true
}

// sackFits returns how many SACK blocks have room beside the timestamps.
func (o *Options) sackFits() int {
	if o.HasTS {
		return min(int(o.NumSACK), 3)
	}
	return min(int(o.NumSACK), len(o.SACK))
}

// wireLen returns the bytes that marshal will write: a multiple of 4.
func (o *Options) wireLen(syn bool) int {
	n := 0
	if o.HasTS {
		n = timestampsLen
	}
	if !syn {
		if k := o.sackFits(); k > 0 {
			n += 4 + 8*k
		}
		return n
	}
	if o.MSS != 0 {
		n += 4
	}
	if o.SACKPermitted && !o.HasTS {
		n += 4
	}
	if o.WScale >= 0 {
		n += 4
	}
	return n + o.fastOpenLen()
}

// marshal writes the options into b, which has room for wireLen bytes.
func (o *Options) marshal(b []byte, syn bool) {
	if syn {
		o.marshalSYN(b)
		return
	}
	if o.HasTS {
		b = o.putTimestamps(b, optNOP<<8|optNOP)
	}
	k := o.sackFits()
	if k == 0 {
		return
	}
	b[0], b[1], b[2], b[3] = optNOP, optNOP, optSACK, byte(2+8*k)
	for i := range k {
		binary.BigEndian.PutUint32(b[4+8*i:], uint32(o.SACK[i].Start))
		binary.BigEndian.PutUint32(b[8+8*i:], uint32(o.SACK[i].End))
	}
}

// marshalSYN writes MSS, SACK-permitted, timestamps, NOP, window scale, Fast Open, in the order and with the padding that Linux has,
// so that the stack cannot be told from Linux by them and middleboxes see what they know.
func (o *Options) marshalSYN(b []byte) {
	if o.MSS != 0 {
		b[0], b[1] = optMSS, optMSSLen
		binary.BigEndian.PutUint16(b[2:], o.MSS)
		b = b[4:]
	}
	switch {
	case o.HasTS && o.SACKPermitted:
		b = o.putTimestamps(b, optSACKPermitted<<8|optSACKPermittedLen)
	case o.HasTS:
		b = o.putTimestamps(b, optNOP<<8|optNOP)
	case o.SACKPermitted:
		b[0], b[1], b[2], b[3] = optNOP, optNOP, optSACKPermitted, optSACKPermittedLen
		b = b[4:]
	}
	if o.WScale >= 0 {
		b[0], b[1], b[2], b[3] = optNOP, optWScale, optWScaleLen, byte(o.WScale)
		b = b[4:]
	}
	o.marshalFastOpen(b)
}

// putTimestamps writes the two bytes lead and the timestamps option, and returns the rest of b.
func (o *Options) putTimestamps(b []byte, lead uint16) []byte {
	binary.BigEndian.PutUint32(b, uint32(lead)<<16|optTimestamps<<8|optTimestampsLen)
	binary.BigEndian.PutUint32(b[4:], o.TSVal)
	binary.BigEndian.PutUint32(b[8:], o.TSEcr)
	return b[timestampsLen:]
}
