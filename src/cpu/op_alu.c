/* Add, sub, logic, compare, test, inc, dec, neg, not and mov, at four widths. SDM 2A, 2B. */
#include "cpu/op_int.h"

#define W 8
#include "cpu/op_alu.inc"
#define W 16
#include "cpu/op_alu.inc"
#define W 32
#include "cpu/op_alu.inc"
#define W 64
#include "cpu/op_alu.inc"

#define MEMORY(name)                               \
    {                                              \
        {                                          \
            WIDTHS_A(name, _f), WIDTHS_A(name, _g) \
        }                                          \
    }
#define ALU_FORMS(OPN)                     \
    const struct alu_forms forms_##OPN = { \
        .rr = WIDTHS(alu_##OPN##_rr),      \
        .ri = WIDTHS(alu_##OPN##_ri),      \
        .rm = MEMORY(alu_##OPN##_rm),      \
        .mr = MEMORY(alu_##OPN##_mr),      \
        .mi = MEMORY(alu_##OPN##_mi),      \
    }
ALU_FORMS(add);
ALU_FORMS(or);
ALU_FORMS(adc);
ALU_FORMS(sbb);
ALU_FORMS(and);
ALU_FORMS(sub);
ALU_FORMS(xor);
ALU_FORMS(cmp);
ALU_FORMS(test);
ALU_FORMS(mov);

#define UNARY_FORMS(OPN)                     \
    const struct unary_forms forms_##OPN = { \
        .r = WIDTHS(alu_##OPN##_r),          \
        .m = MEMORY(alu_##OPN##_m),          \
    }
UNARY_FORMS(inc);
UNARY_FORMS(dec);
UNARY_FORMS(neg);
UNARY_FORMS(not );
