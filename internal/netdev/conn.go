package netdev

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/mdlayher/genetlink"
	"github.com/mdlayher/netlink"
)

// ErrUnknown says that the kernel does not tell: it is too old for the family, or for the command. Errors that match it also
// match the cause.
var ErrUnknown = errors.New("the kernel does not tell")

// Unknown is the value of a number that the kernel does not tell, and of one that [Conn.SetNAPI] leaves as it is.
const Unknown = -1

// The family and its commands.
const (
	familyName    = "netdev"
	familyVersion = 1

	cmdDevGet   = 1
	cmdQueueGet = 10
	cmdNAPIGet  = 11
	cmdNAPISet  = 14
)

// Conn is a connection to the family in one network namespace: that of the thread that called Dial. It may be used from others.
type Conn struct {
	c      *genetlink.Conn
	family uint16
}

// Dial connects to the family in the calling thread's network namespace. A kernel that does not have it (before Linux 6.3) gives
// ErrUnknown.
func Dial() (*Conn, error) {
	c, err := genetlink.Dial(nil)
	if err != nil {
		return nil, fmt.Errorf("netdev: generic netlink: %w", err)
	}
	_ = c.SetOption(netlink.ExtendedAcknowledge, true) // only makes errors say more
	return newConn(c)
}

func newConn(c *genetlink.Conn) (*Conn, error) {
	family, err := c.GetFamily(familyName)
	if err != nil {
		_ = c.Close()
		if errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("netdev: %w (Linux 6.3 would): %w", ErrUnknown, err)
		}
		return nil, fmt.Errorf("netdev: look for the family: %w", err)
	}
	return &Conn{c, family.ID}, nil
}

// Close ends the connection.
func (c *Conn) Close() error { return c.c.Close() }

// attributes are those of one answer, by their numbers. A number that is there twice has its last value.
type attributes map[uint16]value

// value is that of an attribute, of any length: an answer of an unexpected shape reads as unknown.
type value []byte

// execute has the family carry out a command.
func (c *Conn) execute(command uint8, flags netlink.HeaderFlags, request func(*netlink.AttributeEncoder)) (
	[]genetlink.Message, error) {
	e := netlink.NewAttributeEncoder()
	request(e)
	data, err := e.Encode()
	if err != nil {
		return nil, err
	}
	m := genetlink.Message{Header: genetlink.Header{Command: command, Version: familyVersion}, Data: data}
	answers, err := c.c.Execute(m, c.family, netlink.Request|flags)
	if errors.Is(err, syscall.EOPNOTSUPP) { // the family does not have the command
		return nil, fmt.Errorf("%w: %w", ErrUnknown, err)
	}
	return answers, err
}

// get is execute for a command that asks. It returns the attributes of each answer.
func (c *Conn) get(command uint8, flags netlink.HeaderFlags, request func(*netlink.AttributeEncoder)) ([]attributes, error) {
	messages, err := c.execute(command, flags, request)
	if err != nil {
		return nil, err
	}
	var answers []attributes
	for _, m := range messages {
		d, err := netlink.NewAttributeDecoder(m.Data)
		if err != nil {
			return nil, err
		}
		a := attributes{}
		for d.Next() {
			a[d.Type()] = d.Bytes()
		}
		if err := d.Err(); err != nil {
			return nil, err
		}
		answers = append(answers, a)
	}
	return answers, nil
}

// one is get for a command that gives one answer.
func (c *Conn) one(command uint8, request func(*netlink.AttributeEncoder)) (attributes, error) {
	answers, err := c.get(command, 0, request)
	if err == nil && len(answers) != 1 {
		err = fmt.Errorf("%d answers, want one", len(answers))
	}
	if err != nil {
		return nil, err
	}
	return answers[0], nil
}

// number reads an unsigned number, of four bytes or of eight ("uint" in the kernel's specification is the one that suffices).
func (v value) number() (n uint64, ok bool) {
	switch len(v) {
	case 4:
		return uint64(binary.NativeEndian.Uint32(v)), true
	case 8:
		return binary.NativeEndian.Uint64(v), true
	}
	return 0, false
}

// int reads a number that is at most max; Unknown if it is not there, or larger.
func (v value) int(max uint64) int64 {
	if n, ok := v.number(); ok && n <= max {
		return int64(n)
	}
	return Unknown
}

// id reads a number of which 0 means that there is none.
func (v value) id() uint32 {
	n, _ := v.number()
	return uint32(n)
}
