# The same changes as in a recording of a real Bugzilla 5.2 (with the feed's first form) give the same answers.

use 5.14.0;
use strict;
use warnings;
use lib do { require File::Basename; File::Basename::dirname(__FILE__) . '/lib' };

use JSON::PP ();
use Test::More;

use GateFeedTest;

my $path = $ENV{GATEFEED_RECORDING} // "$ROOT/../../../tests/vectors/bugzilla-5.2.jsonl";
open my $handle, '<', $path or plan skip_all => "there is no recording at $path";
my %recorded = map { $_->{note} => $_ } map { JSON::PP->new->utf8->decode($_) } <$handle>;
my $from = $recorded{'the prototype feed from the start'}->{answer};

# True when everything that is recorded was answered; what is answered beyond it is new since.
sub holds {
  my ($recorded, $answered) = @_;
  return !grep { !exists $answered->{$_} || !holds($recorded->{$_}, $answered->{$_}) } keys %$recorded if ref $recorded eq 'HASH';
  if (ref $recorded eq 'ARRAY') {
    return @$recorded == @$answered && !grep { !holds($recorded->[$_], $answered->[$_]) } 0 .. $#$recorded;
  }
  return "$recorded" eq "$answered" && ref $recorded eq ref $answered;
}

Bugzilla->start;
Bugzilla->dbh->do('UPDATE gatefeed_seq SET n = 217, epoch = ?', undef, $from->{epoch});
my $bug = Bugzilla::Bug->create(32)->change(keywords => ['sec-high', 'csectype-uaf'], bug_group => ['core-security']);
my @plain = (bug => 32, mimetype => 'text/plain', ispatch => 1);
my $patch = Bugzilla::Attachment->create(id => 12, @plain, flags => [['sec-approval', '?']]);
$patch->set_flags([['sec-approval', '+']]);
Bugzilla::Attachment->create(id => 13, @plain);
$patch->change(isobsolete => 1);
Bugzilla::Attachment->create(id => 14, bug => 32, mimetype => 'text/x-phabricator-request', ispatch => 0, flags => [['sec-approval', '+']]);
$bug->change(bug_status => 'RESOLVED', resolution => 'FIXED');

my $answer = ask('feed', since => 217);
my @rows = grep { $_->{seq} > 217 } @{$from->{events}};
ok(holds(\@rows, $answer->{events}), 'the rows of the walk are those of the recording') or diag explain($answer->{events});
ok(holds($from->{state}->{32}, $answer->{state}->{32}), 'so is the state of the bug') or diag explain($answer->{state});
is_deeply([@$answer{qw(epoch head)}], [@$from{qw(epoch head)}], 'epoch and head');
my $at_head = $recorded{'the feed at its head'}->{answer};
$answer = ask('feed', since => 227);
is_deeply([sort keys %$answer], [sort keys %$at_head], 'an answer at the head has the recorded parts');
is_deeply([@$answer{qw(events state head)}], [@$at_head{qw(events state head)}], 'and nothing new in them');
$Bugzilla::user = Bugzilla::User->new(name => 'dev', groups => []);
my $refused = refusal(sub { ask('feed', since => 0) });
my $said = $recorded{'the feed without the group'}->{answer}->{message};
like($said, qr/member of the '\Q$refused->{group}\E' group, .* to \Q$refused->{action}\E administrative pages\./, 'who is not in the group is refused with the recorded error');

done_testing();
