# What scripts do: hashes, strings, sorting, subroutine calls. The number of rounds is the argument.
use strict;

sub fib { my $n = shift; return $n < 2 ? $n : fib($n - 1) + fib($n - 2); }

for my $round (1 .. $ARGV[0]) {
    my ($x, %count, @list) = (12345);
    for (1 .. 9000) {
        $x = ($x * 1103515245 + 12345) & 0x7fffffff;
        my $word = "w" . ($x >> 16 & 1023);
        $count{$word}++;
        push @list, join("-", $word, length $word, substr($word, 1));
    }
    my @order = sort { $count{$b} <=> $count{$a} || $a cmp $b } keys %count;
    my $text = join ",", map { "$_=$count{$_}" } @order;
    my $vowels = ($text =~ tr/1-5//);
    print "$round $vowels ", length $text, " @order[0..4] $list[77] ", fib(16), "\n";
}
