package stack

import (
	"runtime"
	"time"
)

// opcode says what an application's goroutine asks of a shard.
type opcode uint8

const (
	opCall        opcode = iota // run a function on the shard
	opWrite                     // TCPConn.Write waits for its bytes to be taken
	opCancelWrite               // TCPConn.Write gave up waiting
	opAccepted                  // Accept has returned the connection
	opSendSYN                   // TCPConn.Read waits on a connection whose SYN waits for a Write
	opCredit                    // TCPConn.Read has freed frames and window
	opCloseWrite
	opClose
	opAbort
)

// command is one message to a shard. Those of the data path carry no allocation.
type command struct {
	op   opcode
	conn *TCPConn
	call func(*Shard)
}

// commandBudget bounds the commands of one turn, so that busy applications cannot keep a shard from its packets.
const commandBudget = 512

// commands runs what the applications' goroutines have asked for.
func (s *Shard) commands() bool {
	n := 0
	for ; n < commandBudget; n++ {
		cmd, ok := s.mailbox.Pop()
		if !ok {
			break
		}
		if cmd.op == opCall {
			cmd.call(s)
			continue
		}
		cmd.conn.command(cmd.op)
	}
	s.stats.Commands += uint64(n)
	return n > 0
}

// post sends a command and wakes the shard if it sleeps. A full mailbox is back-pressure: the caller waits. It reports false when
// the shard has stopped.
func (s *Shard) post(cmd command) bool {
	if !s.postLazy(cmd) {
		return false
	}
	if s.sleeping.Load() {
		s.dev.Wake()
	}
	return true
}

// postLazy sends a command that may wait until the shard wakes for another reason.
func (s *Shard) postLazy(cmd command) bool {
	for try := 0; !s.mailbox.Push(cmd); try++ {
		if s.sleeping.Load() {
			s.dev.Wake()
		}
		select {
		case <-s.done:
			return false
		default:
		}
		if try < 100 {
			runtime.Gosched()
		} else {
			time.Sleep(50 * time.Microsecond)
		}
	}
	return true
}

// call runs fn on the shard and waits for it. On a stack that is not started the caller is the one who drives the shards, and fn
// runs at once. It reports false when the shard has stopped before fn could run.
func (s *Shard) call(fn func(*Shard)) bool {
	if !s.stack.started.Load() {
		fn(s)
		return true
	}
	ran := make(chan struct{})
	if !s.post(command{op: opCall, call: func(s *Shard) { fn(s); close(ran) }}) {
		return false
	}
	select {
	case <-ran:
		return true
	case <-s.done:
		select {
		case <-ran:
			return true
		default:
			return false
		}
	}
}
