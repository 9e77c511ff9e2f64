package service

import "github.com/xdpstack/xdpstack/stack"

// preparedBody is up to how many bytes of a made-up body are kept with its head, for one write.
const preparedBody = pieceSize

// made is what bodies of a given size are made of: whole lines, of which any number of bytes are sent.
var made = func() (b [pieceSize]byte) {
	for i := range b {
		b[i] = chargenCycle[i%len(chargenCycle)]
	}
	return b
}()

// sendMade sends the next bytes of a made-up body and reports whether that was all of it.
func (h *HTTP) sendMade(c *stack.Conn, st *httpConn) bool {
	for st.left > 0 {
		at := st.off % pieceSize
		p := made[at:min(pieceSize, at+st.left)]
		sent := int64(c.Write(p))
		st.off += sent
		st.left -= sent
		if sent < int64(len(p)) {
			return false
		}
	}
	return true
}
