package frame

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// frames returns the frames of a list from the front, and checks that from the back they are the same.
func frames(t *testing.T, p *Pool, l *List) []Index {
	t.Helper()
	var forth, back []Index
	for i := l.Front(); i != None; i = p.Meta(i).Next {
		forth = append(forth, i)
	}
	for i := l.Back(); i != None; i = p.Meta(i).Prev {
		back = append(back, i)
	}
	slices.Reverse(back)
	if !slices.Equal(forth, back) {
		t.Fatalf("forth %v, back %v", forth, back)
	}
	if l.Len() != len(forth) || l.Empty() != (len(forth) == 0) {
		t.Fatalf("length %d, empty %v, frames %v", l.Len(), l.Empty(), forth)
	}
	return forth
}

// TestListAgainstSlice does random operations on two lists and on two slices.
func TestListAgainstSlice(t *testing.T) {
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 5))
		p := pool(t, 30)
		var lists [2]List
		var model [2][]Index
		for k := range lists {
			lists[k].Init()
		}
		for step := range 1000 {
			k := r.IntN(2)
			l, m := &lists[k], &model[k]
			at := r.IntN(len(*m) + 1)
			switch r.IntN(7) {
			case 0:
				if i := p.Alloc(); i != None {
					l.PushBack(p, i)
					*m = append(*m, i)
				}
			case 1:
				if i := p.Alloc(); i != None {
					l.PushFront(p, i)
					*m = slices.Insert(*m, 0, i)
				}
			case 2:
				if i := p.Alloc(); i != None {
					after := None
					if at > 0 {
						after = (*m)[at-1]
					}
					l.InsertAfter(p, i, after)
					*m = slices.Insert(*m, at, i)
				}
			case 3:
				i := l.PopFront(p)
				if len(*m) == 0 {
					if i != None {
						t.Fatalf("seed %d, step %d: popped %d from an empty list", seed, step, i)
					}
					break
				}
				if i != (*m)[0] {
					t.Fatalf("seed %d, step %d: popped %d, want %d", seed, step, i, (*m)[0])
				}
				*m = (*m)[1:]
				p.Release(i)
			case 4, 5:
				if at < len(*m) {
					i := (*m)[at]
					l.Remove(p, i)
					if p.Meta(i).Next != None || p.Meta(i).Prev != None {
						t.Fatalf("seed %d, step %d: a removed frame is still linked", seed, step)
					}
					*m = slices.Delete(*m, at, at+1)
					p.Release(i)
				}
			case 6:
				if r.IntN(5) == 0 {
					l.Append(p, &lists[1-k])
					*m = append(*m, model[1-k]...)
					model[1-k] = nil
				}
			}
			for k := range lists {
				if got := frames(t, p, &lists[k]); !slices.Equal(got, model[k]) {
					t.Fatalf("seed %d, step %d: list %v, want %v", seed, step, got, model[k])
				}
			}
		}
		lists[0].ReleaseAll(p)
		lists[1].ReleaseAll(p)
		account(t, p, Account{Free: 30})
	}
}

func TestReleaseAllGivesUpOneOwnership(t *testing.T) {
	p := pool(t, 4)
	var l List
	l.Init()
	kept := p.Alloc()
	p.Retain(kept)
	l.PushBack(p, kept)
	l.PushBack(p, p.Alloc())
	l.ReleaseAll(p)
	if !l.Empty() || l.Front() != None || l.Back() != None {
		t.Error("the list is not empty")
	}
	account(t, p, Account{Free: 3, Held: 1})
}

func TestListDoesNotAllocate(t *testing.T) {
	p := pool(t, 4)
	var l List
	l.Init()
	if allocs := testing.AllocsPerRun(1000, func() {
		a, b := p.Alloc(), p.Alloc()
		l.PushBack(p, a)
		l.PushFront(p, b)
		l.Remove(p, a)
		p.Release(a)
		l.ReleaseAll(p)
	}); allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}

func BenchmarkList(b *testing.B) {
	b.ReportAllocs()
	p := pool(b, 64)
	var l List
	l.Init()
	for range 32 {
		l.PushBack(p, p.Alloc())
	}
	for b.Loop() {
		l.PushBack(p, l.PopFront(p))
	}
}
