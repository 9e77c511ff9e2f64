#include "textflag.h"

// The words are added in lanes of 64 bits: Y0 and Y1 add whole lanes and lose what overflows, Y2 and Y3 add their upper halves and
// lose nothing. The sum of the lower halves is what is left of the former when the latter, shifted up, is taken away.

// ADD adds the 128 bytes in Y4 to Y7.
#define ADD \
	VPSRLQ $32, Y4, Y8 \
	VPSRLQ $32, Y5, Y9 \
	VPSRLQ $32, Y6, Y10 \
	VPSRLQ $32, Y7, Y11 \
	VPADDQ Y4, Y0, Y0 \
	VPADDQ Y5, Y1, Y1 \
	VPADDQ Y8, Y2, Y2 \
	VPADDQ Y9, Y3, Y3 \
	VPADDQ Y6, Y0, Y0 \
	VPADDQ Y7, Y1, Y1 \
	VPADDQ Y10, Y2, Y2 \
	VPADDQ Y11, Y3, Y3

// LOAD reads 128 bytes.
#define LOAD \
	VMOVDQU (SI), Y4 \
	VMOVDQU 32(SI), Y5 \
	VMOVDQU 64(SI), Y6 \
	VMOVDQU 96(SI), Y7

// ADD32 adds the 32 bytes in Y4.
#define ADD32 \
	VPSRLQ $32, Y4, Y8 \
	VPADDQ Y4, Y0, Y0 \
	VPADDQ Y8, Y2, Y2

// CLEAR makes the sums 0.
#define CLEAR \
	VPXOR Y0, Y0, Y0 \
	VPXOR Y1, Y1, Y1 \
	VPXOR Y2, Y2, Y2 \
	VPXOR Y3, Y3, Y3

// REDUCE adds up all lanes into AX.
#define REDUCE \
	VPADDQ Y1, Y0, Y0 \
	VPADDQ Y3, Y2, Y2 \
	VPSLLQ $32, Y2, Y3 \
	VPSUBQ Y3, Y0, Y0 \
	VPADDQ Y2, Y0, Y0 \
	VEXTRACTI128 $1, Y0, X1 \
	VPADDQ X1, X0, X0 \
	VPSRLDQ $8, X0, X1 \
	VPADDQ X1, X0, X0 \
	VMOVQ X0, AX \
	VZEROUPPER

// func sumAVX2(p *byte, n int) uint64
TEXT ·sumAVX2(SB), NOSPLIT, $0-24
	MOVQ p+0(FP), SI
	MOVQ n+8(FP), BX
	CLEAR
	SUBQ $128, BX
	JLT  rest

blocks:
	LOAD
	ADD
	ADDQ $128, SI
	SUBQ $128, BX
	JGE  blocks

rest:
	ADDQ $96, BX
	JLT  reduce

rest32:
	VMOVDQU (SI), Y4
	ADD32
	ADDQ $32, SI
	SUBQ $32, BX
	JGE  rest32

reduce:
	REDUCE
	ADDQ $24, BX
	JLT  last

words:
	ADDQ (SI), AX
	ADCQ $0, AX
	ADDQ $8, SI
	SUBQ $8, BX
	JGE  words

last:
	// The one to seven bytes that are left are the upper ones of the last eight.
	ADDQ $8, BX
	JEQ  done
	MOVQ -8(SI)(BX*1), DX
	MOVQ $8, CX
	SUBQ BX, CX
	SHLQ $3, CX
	SHRQ CX, DX
	ADDQ DX, AX
	ADCQ $0, AX

done:
	MOVQ AX, ret+16(FP)
	RET

// func copyAVX2(dst, src *byte, n int) uint64
TEXT ·copyAVX2(SB), NOSPLIT, $0-32
	MOVQ dst+0(FP), DI
	MOVQ src+8(FP), SI
	MOVQ n+16(FP), BX
	CLEAR
	SUBQ $128, BX
	JLT  rest

blocks:
	LOAD
	VMOVDQU Y4, (DI)
	VMOVDQU Y5, 32(DI)
	VMOVDQU Y6, 64(DI)
	VMOVDQU Y7, 96(DI)
	ADD
	ADDQ $128, SI
	ADDQ $128, DI
	SUBQ $128, BX
	JGE  blocks

rest:
	ADDQ $96, BX
	JLT  reduce

rest32:
	VMOVDQU (SI), Y4
	VMOVDQU Y4, (DI)
	ADD32
	ADDQ $32, SI
	ADDQ $32, DI
	SUBQ $32, BX
	JGE  rest32

reduce:
	REDUCE
	ADDQ $24, BX
	JLT  last

words:
	MOVQ (SI), DX
	MOVQ DX, (DI)
	ADDQ DX, AX
	ADCQ $0, AX
	ADDQ $8, SI
	ADDQ $8, DI
	SUBQ $8, BX
	JGE  words

last:
	ADDQ $8, BX
	JEQ  done
	MOVQ -8(SI)(BX*1), DX
	MOVQ DX, -8(DI)(BX*1)
	MOVQ $8, CX
	SUBQ BX, CX
	SHLQ $3, CX
	SHRQ CX, DX
	ADDQ DX, AX
	ADCQ $0, AX

done:
	MOVQ AX, ret+24(FP)
	RET
