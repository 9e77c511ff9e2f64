// Package wheel is a hierarchical timing wheel: it holds one deadline for each of many small integers (a connection's slot in its
// shard) and hands out those that are due.
//
// Time is cut into ticks of 2^20 ns (1.05 ms). Each level is an array of 256 slots, and each slot a list of nodes; a slot of level l
// covers 256^l ticks. A node lies at the level of the highest byte in which its tick differs from the present one:
//
//	          present tick   00 00 00 00 12 9a
//	a deadline at tick       00 00 00 00 12 c4      level 0, slot c4: 1 tick wide
//	a deadline at tick       00 00 00 00 15 01      level 1, slot 15: 256 ticks wide, 0.27 s
//	a deadline at tick       00 00 00 03 7f 20      level 2, slot 03: 65536 ticks wide, 69 s
//
// So everything at a level comes before everything at the next, the first used slot of the lowest used level is what comes next
// (a bit map finds it), and stretches without deadlines cost nothing. When the present reaches a slot above level 0, its nodes move
// down. Six levels cover every [clock.Time], so no deadline is too far.
//
// # Lazy moves
//
// A busy connection moves its retransmission deadline later with every acknowledgement. That is one store here: the node stays
// where it is, and when its slot is reached too early it is put where it belongs. Only a move to before its slot relinks it.
//
// # Promises
//
//   - A node is never handed out before its deadline, and at most one tick after it (or after Set, if that was later), as long as
//     Advance is called in time.
//   - Set and Cancel take constant time. Nothing but New and Grow allocates, and nothing is ever copied.
//   - The order of nodes that are due in the same tick is not specified, but the same for the same calls.
//
// A Wheel belongs to one goroutine.
package wheel
