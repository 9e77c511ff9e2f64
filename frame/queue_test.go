package frame

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// queued returns the frames of a queue from the front.
func queued(p *Pool, q *Queue) (all []Index) {
	for i := q.Front(); i != None; i = p.Meta(i).Next {
		all = append(all, i)
	}
	return all
}

// TestQueueAgainstSlice does random operations on two queues and on two slices.
func TestQueueAgainstSlice(t *testing.T) {
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 6))
		p := pool(t, 20)
		var queues [2]Queue
		var model [2][]Index
		for k := range queues {
			queues[k].Init()
		}
		for step := range 1000 {
			k := r.IntN(2)
			q, m := &queues[k], &model[k]
			switch r.IntN(3) {
			case 0:
				if i := p.Alloc(); i != None {
					q.PushBack(p, i)
					*m = append(*m, i)
				}
			case 1:
				want := None
				if len(*m) != 0 {
					want, *m = (*m)[0], (*m)[1:]
				}
				if i := q.PopFront(p); i != want {
					t.Fatalf("seed %d, step %d: popped %d, want %d", seed, step, i, want)
				}
				if want != None {
					p.Release(want)
				}
			case 2:
				if o := model[1-k]; len(o) != 0 {
					n := 1 + r.IntN(len(o))
					q.TakeFront(p, &queues[1-k], o[n-1])
					*m = append(*m, o[:n]...)
					model[1-k] = slices.Clone(o[n:])
				}
			}
			for k := range queues {
				q, want := &queues[k], model[k]
				if got := queued(p, q); !slices.Equal(got, want) || q.Empty() != (len(want) == 0) {
					t.Fatalf("seed %d, step %d: queue %v, empty %v, want %v", seed, step, got, q.Empty(), want)
				}
				if len(want) != 0 && q.Back() != want[len(want)-1] {
					t.Fatalf("seed %d, step %d: the last is %d, want %d", seed, step, q.Back(), want[len(want)-1])
				}
			}
		}
		if n := queues[0].ReleaseAll(p) + queues[1].ReleaseAll(p); n != len(model[0])+len(model[1]) {
			t.Fatalf("seed %d: %d frames were released", seed, n)
		}
		account(t, p, Account{Free: 20})
	}
}
