package kernelnet

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	rtnetlink "github.com/mdlayher/netlink"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Of linux/fib_rules.h.
const (
	ruleHeader = 12 // bytes of struct fib_rule_hdr

	ruleInvert     = 2 // flags
	ruleUnresolved = 4

	ruleTable       = 1 // actions
	ruleGoto        = 2
	ruleBlackhole   = 6
	ruleUnreachable = 7
	ruleProhibit    = 8

	// attributes
	ruleDst, ruleSrc, ruleIif, ruleTarget, rulePriority, ruleMark = 1, 2, 3, 4, 6, 10
	ruleTunnel, ruleGroup, ruleLength, ruleTableID, ruleMask      = 12, 13, 14, 15, 16
	ruleOif, ruleMaster, ruleUsers, ruleProtocol                  = 17, 19, 20, 22
	ruleSport, ruleDport, ruleDSCP, ruleLabel                     = 23, 24, 25, 26
)

// rule is a policy rule as the kernel has it (ip rule).
type rule struct {
	priority, target uint32
	action           uint8
	invert           bool
	from, to         match
	iif, oif         string // "": any
	mark, mask       uint32
	table            uint32   // that it has looked at
	master           bool     // that of the interface's VRF instead
	suppress         int      // routes to prefixes of no more than this length do not count; -1: all do
	strange          []string // what else it looks at
}

// match is the addresses that begin with some bits; the zero value has all.
type match struct{ bits, mask uint32 }

func (m match) has(a uint32) bool { return a&m.mask == m.bits }

// readRules asks the kernel for its rules, by falling importance.
func (f *Follower) readRules() ([]rule, error) {
	header := make([]byte, ruleHeader)
	header[0] = unix.AF_INET
	answers, err := f.rules.Execute(rtnetlink.Message{
		Header: rtnetlink.Header{Type: unix.RTM_GETRULE, Flags: rtnetlink.Request | rtnetlink.Dump}, Data: header,
	})
	if errors.Is(err, unix.EOPNOTSUPP) { // a kernel without them has the main table
		return []rule{{action: ruleTable, table: unix.RT_TABLE_MAIN, suppress: -1}}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the policy rules: %w", err)
	}
	all := make([]rule, 0, len(answers))
	for _, m := range answers {
		r, err := parseRule(m.Data)
		if err != nil {
			return nil, fmt.Errorf("read the policy rules: %w", err)
		}
		all = append(all, r)
	}
	slices.SortStableFunc(all, func(a, b rule) int { return int(int64(a.priority) - int64(b.priority)) })
	return all, nil
}

// IgnoredRules returns the Ignored that snapshots of an interface have now, without following it.
func IgnoredRules(name string) ([]string, error) {
	conn, err := rtnetlink.Dial(unix.NETLINK_ROUTE, nil)
	if err != nil {
		return nil, fmt.Errorf("kernelnet: %w", err)
	}
	defer conn.Close()
	rules, err := (&Follower{rules: conn}).readRules()
	if err != nil {
		return nil, fmt.Errorf("kernelnet: %w", err)
	}
	_, ignored := makePolicy(rules, nil, name, 0)
	return ignored, nil
}

// parseRule reads a struct fib_rule_hdr and what follows it.
func parseRule(b []byte) (r rule, err error) {
	if len(b) < ruleHeader {
		return r, fmt.Errorf("a rule of %d bytes", len(b))
	}
	flags := binary.NativeEndian.Uint32(b[8:])
	r = rule{action: b[7], table: uint32(b[4]), invert: flags&ruleInvert != 0, suppress: -1}
	if r.action == ruleGoto && flags&ruleUnresolved != 0 {
		r.action = 0
	}
	if b[3] != 0 {
		r.strange = append(r.strange, "tos")
	}
	at, err := rtnetlink.NewAttributeDecoder(b[ruleHeader:])
	if err != nil {
		return r, err
	}
	var bad error
	prefix := func(length uint8) (m match) {
		if v := at.Bytes(); len(v) == 4 && length <= 32 {
			m.mask = uint32(^uint64(0) << (32 - length))
			m.bits = binary.BigEndian.Uint32(v) & m.mask
		} else {
			bad = fmt.Errorf("a prefix of %d bytes, length %d", len(v), length)
		}
		return m
	}
	for at.Next() {
		switch at.Type() {
		case ruleDst:
			r.to = prefix(b[1])
		case ruleSrc:
			r.from = prefix(b[2])
		case ruleIif:
			r.iif = at.String()
		case ruleOif:
			r.oif = at.String()
		case ruleTarget:
			r.target = at.Uint32()
		case rulePriority:
			r.priority = at.Uint32()
		case ruleMark:
			r.mark = at.Uint32()
		case ruleMask:
			r.mask = at.Uint32()
		case ruleTableID:
			r.table = at.Uint32()
		case ruleMaster:
			r.master = at.Uint8() != 0
		case ruleLength:
			if n := at.Uint32(); n != ^uint32(0) {
				r.suppress = int(n)
			}
		case ruleGroup:
			if at.Uint32() != ^uint32(0) {
				r.strange = append(r.strange, "suppress_ifgroup")
			}
		default:
			if name := strange[at.Type()]; name != "" {
				r.strange = append(r.strange, name)
			}
		}
	}
	return r, errors.Join(bad, at.Err())
}

// strange is what a rule may look at that differs between the packets of a stack, or that is not known of them.
var strange = map[uint16]string{
	ruleTunnel: "tun_id", ruleUsers: "uidrange", ruleProtocol: "ipproto", ruleSport: "sport", ruleDport: "dport", ruleDSCP: "dscp",
	ruleLabel: "flowlabel",
}

// step is a rule that counts for packets that a socket sends which is bound to the interface.
type step struct {
	from, to match
	invert   bool
	jump     bool
	target   int    // of a jump: the step that it goes to
	refuse   bool   // no way
	table    *table // else
	id       uint32 // of the table
	suppress int
}

// policy is the steps that are taken for a packet, one after another, until one of them says where it goes.
type policy struct {
	steps   []step
	tables  map[uint32]*table
	sources bool // a step looks at where packets come from
}

// makePolicy takes the rules that count on an interface, in a VRF whose table is master, or in none with 0. ignored says which rules may
// count, but not for all packets, and are left out.
func makePolicy(rules []rule, tables map[uint32]*table, name string, master uint32) (p policy, ignored []string) {
	p.tables = make(map[uint32]*table)
	first := make([]int, len(rules)) // the step that stands for a rule, or for the next one that has one
	for i := range rules {
		r := &rules[i]
		first[i] = len(p.steps)
		if len(r.strange) > 0 {
			ignored = append(ignored, fmt.Sprintf("%d: %s", r.priority, strings.Join(r.strange, ", ")))
			continue
		}
		// The kernel sends what is its own as if it came in by lo. Nothing has a mark.
		fits := (r.iif == "" || r.iif == "lo") && (r.oif == "" || r.oif == name) && r.mark&r.mask == 0
		s := step{from: r.from, to: r.to, invert: r.invert, suppress: r.suppress}
		if !fits {
			if !r.invert {
				continue
			}
			s.from, s.to, s.invert = match{}, match{}, false // it has all that do not fit: all
		}
		switch r.action {
		case ruleTable:
			id := r.table
			if r.master {
				id = master
			}
			if s.table = tables[id]; s.table == nil || len(s.table.levels) == 0 {
				continue
			}
			s.id = id
			p.tables[id] = s.table
		case ruleGoto:
			s.jump = true
			s.target = int(r.target)
		case ruleBlackhole, ruleUnreachable, ruleProhibit:
			s.refuse = true
		default:
			continue
		}
		p.sources = p.sources || s.from.mask != 0
		p.steps = append(p.steps, s)
	}
	for i := range p.steps {
		if s := &p.steps[i]; s.jump {
			at, ok := slices.BinarySearchFunc(rules, uint32(s.target), func(r rule, priority uint32) int {
				return int(int64(r.priority) - int64(priority))
			})
			s.target = len(p.steps)
			if ok {
				s.target = max(first[at], i+1)
			}
		}
	}
	return p, ignored
}

// find returns the way from an address to another, or nil.
func (p *policy) find(from, to [4]byte) *hop {
	src, dst := binary.BigEndian.Uint32(from[:]), binary.BigEndian.Uint32(to[:])
	for i := 0; i < len(p.steps); i++ {
		s := &p.steps[i]
		if (s.from.has(src) && s.to.has(dst)) == s.invert {
			continue
		}
		switch {
		case s.jump:
			i = s.target - 1
			continue
		case s.refuse:
			return nil
		}
		h, bits, further := s.table.find(dst)
		if further || h != nil && bits <= s.suppress {
			continue
		}
		return h
	}
	return nil
}

func (p *policy) equal(o *policy) bool {
	same := func(a, b step) bool {
		a.table, b.table = nil, nil
		return a == b
	}
	return slices.EqualFunc(p.steps, o.steps, same) && maps.EqualFunc(p.tables, o.tables, (*table).equal)
}

// vrfTable returns the table of the VRF that an interface is in, or 0.
func (f *Follower) vrfTable(at *netlink.LinkAttrs) uint32 {
	if at.MasterIndex == 0 {
		return 0
	}
	master, err := f.kernel.LinkByIndex(at.MasterIndex)
	if err != nil {
		return 0 // it is gone
	}
	if vrf, ok := master.(*netlink.Vrf); ok {
		return vrf.Table
	}
	return 0
}
