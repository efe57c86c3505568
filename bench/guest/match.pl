# Patterns over two megabytes of text: alternatives, classes, captures, a substitution.
use strict;
open my $file, '<', 'text' or die;
read $file, my $text, 2097152;
my ($n, %seen) = (0);
while ($text =~ /\b(st|pr|un)([a-z]+?)(ing|ed|ly)\b/g) { $seen{$3}++; $n += length $2; }
my $pairs = () = $text =~ /\b(\w)\w*\1\b/g;
(my $changed = $text) =~ s/([aeiou])([^aeiou\s])/$2$1/g;
print join(",", map { "$_=$seen{$_}" } sort keys %seen), " $n $pairs ", unpack("%32C*", substr $changed, 0, 100000), "\n";
