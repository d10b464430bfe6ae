# The veto of uplift approvals, and what the pages show while a security approval is missing.

use 5.14.0;
use strict;
use warnings;
use lib do { require File::Basename; File::Basename::dirname(__FILE__) . '/lib' };

use Test::More;

use GateFeedTest;

my $VETO = 'gatefeed_uplift_vetoed';

sub sensitive {
  my (%patch) = @_;
  Bugzilla->start;
  Bugzilla::Bug->create(1)->change(keywords => ['sec-high', 'crash']);
  return Bugzilla::Attachment->create(id => 1, bug => 1, mimetype => 'text/plain', ispatch => 1, %patch);
}
sub head { return ask('feed')->{head} }
sub flags { return {map { $_->type->name => $_->status } @{Bugzilla::Attachment->new(1)->flags}} }

{
  my $patch = sensitive(flags => [['sec-approval', '?']]);
  my $head = head();
  my $refused = refusal(sub { $patch->set_flags([['sec-approval', '?'], ['approval-mozilla-beta', '+']]) });
  is_deeply([@$refused{qw(error flag bug_id approval)}], [$VETO, 'approval-mozilla-beta', 1, 'sec-approval'], 'an uplift waits for sec-approval');
  is_deeply(flags(), {'sec-approval' => '?'}, 'nothing of the change stays');
  is(head(), $head, 'and nobody is told of it');
  is(refusal(sub { $patch->set_flags([['sec-approval', '?'], ['approval-mozilla-beta', '?']]) }), undef, 'asking for it is free');
  is(refusal(sub { $patch->set_flags([['sec-approval', '?'], ['review', '+']]) }), undef, 'so are other flags');
  is(refusal(sub { $patch->set_flags([['sec-approval', '+'], ['approval-mozilla-beta', '+']]) }), undef, 'both at once is in order');
  is(refusal(sub { $patch->set_flags([['approval-mozilla-beta', '+']]) }), undef, 'what was granted before stays granted');
}
{
  my $patch = sensitive();
  my $tracked = refusal(sub { Bugzilla::Bug->new(1)->change(cf_tracking_beta => '+') });
  is_deeply([@$tracked{qw(error flag)}], [$VETO, 'cf_tracking_beta'], 'so does a tracking flag');
  is(refusal(sub { Bugzilla::Bug->new(1)->change(cf_tracking_beta => '?') }), undef, 'which may be asked for');
  is(refusal(sub { Bugzilla::Bug->new(1)->change(cf_status_beta => 'affected') }), undef, 'a status is no approval');
}
foreach my $case (
  ['an obsolete patch approves nothing', 1, sub { $_[0]->set_flags([['sec-approval', '+']]); $_[0]->change(isobsolete => 1) }],
  ['a denial approves nothing', 1, sub { $_[0]->set_flags([['sec-approval', '-']]) }],
  ['of several flags of the name a denial wins', 1, sub { $_[0]->set_flags([['sec-approval', '+'], ['sec-approval', '-']]) }],
  ['a picture approves nothing', 1, sub { $_[0]->change(ispatch => 0, mimetype => 'image/png'); $_[0]->set_flags([['sec-approval', '+']]) }],
  ['a review request stands for its patch', 0, sub { $_[0]->change(ispatch => 0, mimetype => 'text/x-phabricator-request'); $_[0]->set_flags([['sec-approval', '+']]) }],
  ['an ordinary bug needs no approval', 0, sub { Bugzilla::Bug->new(1)->change(keywords => ['crash']) }],
  ['which keywords matter is a parameter', 0, sub { $Bugzilla::params{gatefeed_keywords} = 'csectype-sandbox-escape' }],
  ['the flag is a parameter', 0, sub { $Bugzilla::params{gatefeed_approval_flag} = 'security'; $_[0]->set_flags([['security', '+']]) }],
  ['which flags are uplifts is a parameter', 0, sub { $Bugzilla::params{gatefeed_uplift_flags} = 'release-?, uplift' }],
) {
  my ($name, $vetoed, $prepare) = @$case;
  $prepare->(sensitive());
  Bugzilla::Attachment->create(id => 2, bug => 1, mimetype => 'text/x-other', ispatch => 0);
  my $refused = refusal(sub { Bugzilla::Attachment->new(2)->set_flags([['approval-mozilla-release', '+']]) });
  is($refused ? $refused->{error} : undef, $vetoed ? $VETO : undef, $name);
}
is_deeply([Bugzilla::Extension::GateFeed::Approval::granted(
  ['a:x+', 'a:y?(b)', 'a:z-'], ['a:x+', 'c:x+', 'a:y+', 'd:w+(e)', 'a:v?(u+)', 'a:z-'])],
  [qw(w x y)], 'granted is what is new and ends with +');

# --- pages ------------------------------------------------------------------------------------------------------------

SKIP: {
  eval { require Template } or skip 'the Template Toolkit is not installed', 12;
  my $shown = sub {
    my ($file, $hook, %vars) = @_;
    my %all = (terms => {bug => 'bug', Bug => 'Bug'}, %vars);
    Bugzilla::Hook::process('template_before_process', {file => $file, vars => \%all});
    my $toolkit = Template->new({INCLUDE_PATH => "$ROOT/template/en/default", STRICT => 0});
    $toolkit->process("hook/$hook.html.tmpl", \%all, \my $out) or die $toolkit->error;
    $out =~ s/<[^>]+>/ /g;
    return join ' ', split ' ', $out;
  };
  my @page = ('bug/edit.html.tmpl',          'bug/edit-after_custom_fields');
  my @form = ('attachment/create.html.tmpl', 'attachment/create-form_before_submit');
  my $patch = sensitive();
  like($shown->(@page, bug => Bugzilla::Bug->new(1)),
    qr/^Do not land this yet\. It is sec-high, and no patch .* has sec-approval\+ ?\. Ask for it on the patch\. .* name bug 1\.$/, 'the bug page warns');
  like($shown->(@page, bugs => [Bugzilla::Bug->new(1)], bug => Bugzilla::Bug->new(1)), qr/^Do not land/, 'also as the first of a list');
  like($shown->(@form, bug => Bugzilla::Bug->new(1)),
    qr/^Landing: This bug is sec-high: a patch needs sec-approval\+ before it lands/, 'the form for attachments says what is needed');
  $patch->set_flags([['sec-approval', '?']]);
  like($shown->(@page, bug => Bugzilla::Bug->new(1)), qr/It was asked for and is not granted yet/, 'it says that it was asked for');
  $patch->set_flags([['sec-approval', '+']]);
  is($shown->(@page, bug => Bugzilla::Bug->new(1)), '', 'with the approval the banner is gone');
  is($shown->(@form, bug => Bugzilla::Bug->new(1)), '', 'and the notice');
  $patch->change(isobsolete => 1);
  like($shown->(@page, bug => Bugzilla::Bug->new(1)), qr/^Do not land/, 'it is back when the approved patch is obsolete');
  Bugzilla::Bug->new(1)->change(keywords => []);
  is($shown->(@page, bug => Bugzilla::Bug->new(1)), '', 'an ordinary bug shows nothing');
  is($shown->(@form, bug => undef), '', 'a form without a bug shows nothing');
  Bugzilla::Bug->new(1)->change(keywords => ['<b>']);
  $Bugzilla::params{gatefeed_keywords} = '<b>';
  my %vars = (terms => {bug => 'bug'}, bug => Bugzilla::Bug->new(1));
  Bugzilla::Hook::process('template_before_process', {file => $page[0], vars => \%vars});
  Template->new({INCLUDE_PATH => "$ROOT/template/en/default"})->process("hook/$page[1].html.tmpl", \%vars, \my $html) or die;
  like($html, qr/It is &lt;b&gt;,/, 'names are escaped');
  my $error = $shown->('x', 'global/user-error-errors', error => $VETO, bug_id => 1, flag => 'approval-mozilla-beta', approval => 'sec-approval');
  like($error, qr/^Bug 1 is security-sensitive.*So approval-mozilla-beta cannot be granted yet\./, 'the refusal says what to do');
  is($shown->('x', 'global/user-error-errors', error => 'another'), '', 'and is silent about other errors');
}

done_testing();
