// Records, small procedures, enumerations and fixed strings: the habits of 1980s systems programs.
#include "bench.h"

enum colour { RED, GREEN, BLUE, GREY };

struct record {
    struct record *link;
    enum colour colour;
    int number;
    char text[31];
};

static struct record first, second;
static int globals[2];
static char letter;
static int vector[50], table[50][50];

// Our own string functions: the library's take other instructions on other processors.
static NOINLINE void copy_text(char *to, const char *from)
{
    while ((*to++ = *from++))
        ;
}

static NOINLINE int compare_text(const char *a, const char *b)
{
    while (*a && *a == *b) {
        a++;
        b++;
    }
    return (unsigned char)*a - (unsigned char)*b;
}

static NOINLINE int differ(char a, char b)
{
    if (a != b)
        return 0;
    letter = a;
    return 1;
}

static NOINLINE enum colour after(enum colour c)
{
    switch (c) {
    case RED:
        return globals[0] > 100 ? RED : GREY;
    case GREEN:
        return BLUE;
    case BLUE:
        return GREEN;
    default:
        return RED;
    }
}

static NOINLINE void add(int a, int b, int *sum)
{
    *sum = a + 2 + b;
}

static NOINLINE int strings_differ(const char *a, const char *b)
{
    int at = 2;
    while (at <= 2)
        if (!differ(a[at], b[at + 1]))
            at++;
        else
            at += 3;
    return compare_text(a, b) > 0;
}

static NOINLINE void fill(int *line, int (*grid)[50], int index, int value)
{
    int i = index + 5;
    line[i] = value;
    line[i + 1] = line[i];
    line[i + 30] = i;
    for (int j = i; j <= i + 1; j++)
        grid[i][j] = i;
    grid[i][i - 1]++;
    grid[i + 20 < 50 ? i + 20 : i][i] = line[i];
    globals[0] = 5;
}

static NOINLINE void copy_record(struct record *from)
{
    struct record *to = from->link;
    *to = *from;
    from->number = 5;
    to->number = from->number;
    to->link = from->link;
    to->colour = after(from->colour);
    add(to->number, 10, &to->number);
}

uint64_t dhrylike_round(void)
{
    uint64_t sum = 0;
    for (int i = 0; i < 50; i++) {
        vector[i] = 0;
        for (int j = 0; j < 50; j++)
            table[i][j] = 0;
    }
    globals[0] = globals[1] = 0;
    first = (struct record){&second, GREEN, 40, "A RECORD WITH THIRTY CHARACTER"};
    for (int run = 1; run <= 2000; run++) {
        char one[31], two[31];
        int a = 2, b = 3, c = 0;
        copy_text(one, "A STRING OF THIRTY CHARACTERS1");
        copy_text(two, "A STRING OF THIRTY CHARACTERS2");
        two[run % 30] = (char)('A' + run % 26);
        globals[1] = !strings_differ(one, two);
        while (a < b) {
            c = 5 * a - b;
            add(a, b, &c);
            a++;
        }
        fill(vector, table, a, c);
        first.colour = (enum colour)(run % 4);
        copy_record(&first);
        for (char i = 'A'; i <= 'C'; i++)
            if (differ(i, 'C'))
                second.colour = after(RED);
        b = b * a;
        a = b / c;
        b = 7 * (b - c) - a;
        sum += (uint64_t)(a + b + c + second.number + (int)second.colour + globals[1] + letter);
    }
    return sum + (uint64_t)(vector[8] + table[8][7]);
}
