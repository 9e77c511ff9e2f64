//go:build race

package stack_test

// underRace says that the race detector watches, which makes some tests forty times as slow.
const underRace = true
