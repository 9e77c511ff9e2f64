package service

import "github.com/xdpstack/xdpstack/stack"

// Chargen sends the rotating pattern of RFC 864 for as long as the client takes it, and throws away what it receives.
type Chargen struct{}

// The lines of the pattern are 72 of the 95 printing characters, each line starting one character later than the one before.
const (
	firstPrinting = ' '
	numPrinting   = 95
	lineLength    = 72
)

// chargenCycle is the pattern up to where it repeats.
var chargenCycle = func() []byte {
	var b []byte
	for line := range numPrinting {
		for col := range lineLength {
			b = append(b, byte(firstPrinting+(line+col)%numPrinting))
		}
		b = append(b, '\r', '\n')
	}
	return b
}()

// chargenState is the place in the cycle.
type chargenState struct{ next int }

// Opened starts sending.
func (g Chargen) Opened(c *stack.Conn) {
	c.SetContext(&chargenState{})
	g.Writable(c)
}

// Received throws p away.
func (Chargen) Received(*stack.Conn, []byte) {}

// Writable fills the send buffer.
func (Chargen) Writable(c *stack.Conn) {
	st, _ := c.Context().(*chargenState)
	if st == nil {
		return
	}
	for {
		p := chargenCycle[st.next:]
		n := c.Write(p)
		if n < len(p) {
			st.next += n
			return
		}
		st.next = 0
	}
}

// PeerClosed ends the connection; what is queued is still sent.
func (Chargen) PeerClosed(c *stack.Conn) {
	c.SetContext(nil)
	c.Close()
}

// Drain ends the connection as if the client had: the pattern has no end of its own.
func (g Chargen) Drain(c *stack.Conn) { g.PeerClosed(c) }

// Closed does nothing.
func (Chargen) Closed(*stack.Conn, error) {}
