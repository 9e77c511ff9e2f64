package netdev

import (
	"fmt"

	"github.com/mdlayher/netlink"
)

// The attributes of a queue.
const (
	queueID      = 1
	queueIfindex = 2
	queueType    = 3
	queueNAPI    = 4
	queueXSK     = 7
)

// QueueType is a queue's direction.
type QueueType uint32

// The directions.
const (
	Receive  QueueType = 0
	Transmit QueueType = 1
)

// String returns the kernel's name.
func (t QueueType) String() string {
	switch t {
	case Receive:
		return "rx"
	case Transmit:
		return "tx"
	}
	return fmt.Sprintf("type %d", uint32(t))
}

// MarshalText gives the name.
func (t QueueType) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// Queue is one queue of an interface.
type Queue struct {
	Ifindex int       `json:"ifindex"`
	ID      int       `json:"id"`
	Type    QueueType `json:"type"`
	NAPI    uint32    `json:"napi-id"` // what serves it; 0: the driver does not say
	XSK     bool      `json:"xsk"`     // an AF_XDP socket is bound to it; before Linux 6.15 always false
}

// Queue asks about one queue of an interface. The interface must be up.
func (c *Conn) Queue(ifindex int, t QueueType, id int) (Queue, error) {
	a, err := c.one(cmdQueueGet, func(e *netlink.AttributeEncoder) {
		e.Uint32(queueIfindex, uint32(ifindex))
		e.Uint32(queueType, uint32(t))
		e.Uint32(queueID, uint32(id))
	})
	if err != nil {
		return Queue{}, fmt.Errorf("netdev: %v queue %d of interface %d: %w", t, id, ifindex, err)
	}
	return readQueue(a), nil
}

// Queues asks about all queues of an interface: none while it is down.
func (c *Conn) Queues(ifindex int) ([]Queue, error) {
	answers, err := c.get(cmdQueueGet, netlink.Dump, func(e *netlink.AttributeEncoder) { e.Uint32(queueIfindex, uint32(ifindex)) })
	if err != nil {
		return nil, fmt.Errorf("netdev: queues of interface %d: %w", ifindex, err)
	}
	var all []Queue
	for _, a := range answers {
		all = append(all, readQueue(a))
	}
	return all, nil
}

func readQueue(a attributes) Queue {
	_, xsk := a[queueXSK]
	return Queue{
		Ifindex: int(a[queueIfindex].int(largestIfindex)),
		ID:      int(a[queueID].int(largestIfindex)),
		Type:    QueueType(a[queueType].id()),
		NAPI:    a[queueNAPI].id(),
		XSK:     xsk,
	}
}

// String describes the queue.
func (q Queue) String() string {
	s := fmt.Sprintf("%v queue %d: ", q.Type, q.ID)
	if q.NAPI == 0 {
		s += "no NAPI told"
	} else {
		s += fmt.Sprintf("NAPI %d", q.NAPI)
	}
	if q.XSK {
		s += ", xsk"
	}
	return s
}
