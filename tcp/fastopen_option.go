package tcp

import "encoding/binary"

// The Fast Open option (RFC 7413 section 4.1.1): without a cookie it asks for one, from a server the cookie is a new one to keep, from
// a client it is the one that it was given. Options.FastOpen has the kind in which it came, or is to go out.
const (
	optFastOpen    = 34
	optFastOpenExp = 254 // before there was a number of its own: an experiment's option (RFC 6994) that begins with fastOpenMagic

	fastOpenMagic = 0xf989

	minCookie = 4
	// MaxCookie is the most bytes that a Fast Open cookie has: with it the options of a SYN take all 40 bytes that there are.
	MaxCookie = 16
)

// takeCookie takes the value of a Fast Open option. One of a length that no cookie has is ignored, as if it were not there.
func (o *Options) takeCookie(kind uint8, cookie []byte) {
	n := len(cookie)
	if n != 0 && (n < minCookie || n > MaxCookie || n%2 != 0) {
		return
	}
	o.SetCookie(kind, cookie)
}

// SetCookie adds a Fast Open option of the given kind, 34 or 254, with a cookie of 4 to 16 bytes, an even number, or none.
func (o *Options) SetCookie(kind uint8, cookie []byte) {
	o.FastOpen, o.CookieLen = kind, uint8(copy(o.Cookie[:], cookie))
}

// cookie returns the cookie of the Fast Open option; it is empty if the option asks for one.
func (o *Options) cookie() []byte { return o.Cookie[:o.CookieLen] }

// fastOpenLen returns the bytes that marshalFastOpen writes, padding included.
func (o *Options) fastOpenLen() int {
	switch o.FastOpen {
	case optFastOpen:
		return (2 + int(o.CookieLen) + 3) &^ 3
	case optFastOpenExp:
		return (4 + int(o.CookieLen) + 3) &^ 3
	}
	return 0
}

// marshalFastOpen writes the option as the last one, where Linux has it, padded with NOPs behind it.
func (o *Options) marshalFastOpen(b []byte) {
	n := o.fastOpenLen()
	if n == 0 {
		return
	}
	b = b[:n]
	b[0], b[1] = o.FastOpen, 2+o.CookieLen
	v := b[2:]
	if o.FastOpen == optFastOpenExp {
		b[1] += 2
		binary.BigEndian.PutUint16(v, fastOpenMagic)
		v = v[2:]
	}
	for i := copy(v, o.cookie()); i < len(v); i++ {
		v[i] = optNOP
	}
}
