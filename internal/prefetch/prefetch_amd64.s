#include "textflag.h"

// func lines(addresses *uintptr, count, n int)
TEXT ·lines(SB), NOSPLIT, $0-24
	MOVQ addresses+0(FP), SI
	MOVQ count+8(FP), CX
	MOVQ n+16(FP), DX

object:
	MOVQ (SI), AX
	MOVQ DX, BX

line:
	PREFETCHT0 (AX)
	ADDQ       $64, AX
	DECQ       BX
	JNE        line
	ADDQ       $8, SI
	DECQ       CX
	JNE        object
	RET
